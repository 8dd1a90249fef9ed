// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/protocol.h"

#include "runtime/shim/json_fields.h"

namespace berth::shim {

std::string to_json(const PodSettings& settings) {
  boost::json::object object;
  object["pod_id"] = settings.pod_id;
  object["new_network"] = settings.new_network;
  object["new_ipc"] = settings.new_ipc;
  object["new_uts"] = settings.new_uts;
  object["shared_pid"] = settings.shared_pid;
  object["hostname"] = settings.hostname;
  boost::json::object sysctls;
  for (const auto& [key, value] : settings.sysctls) sysctls[key] = value;
  object["sysctls"] = std::move(sysctls);
  object["shm_bytes"] = settings.shm_bytes;
  return boost::json::serialize(object);
}

Result<PodSettings> pod_settings_from_json(std::string_view text) {
  TRY_ASSIGN(const auto object, parse_object(text, "pod settings"));
  PodSettings settings;
  settings.pod_id = text_field(object, "pod_id");
  settings.new_network = bool_field(object, "new_network", settings.new_network);
  settings.new_ipc = bool_field(object, "new_ipc", settings.new_ipc);
  settings.new_uts = bool_field(object, "new_uts", settings.new_uts);
  settings.shared_pid = bool_field(object, "shared_pid");
  settings.hostname = text_field(object, "hostname");
  if (const auto* sysctls = object_field(object, "sysctls")) {
    for (const auto& entry : *sysctls) {
      if (!entry.value().is_string()) {
        return fail(Code::kInvalidArgument,
                    concat("pod settings: sysctl ", quote(std::string_view(entry.key())), ": must be a string"));
      }
      settings.sysctls[std::string(std::string_view(entry.key()))] = std::string_view(entry.value().get_string());
    }
  }
  settings.shm_bytes = int_field(object, "shm_bytes", settings.shm_bytes);
  return settings;
}

std::string to_json(const ExitRecord& record) {
  boost::json::object object;
  object["code"] = record.code;
  object["signal"] = record.signal;
  object["oom"] = record.oom;
  object["timed_out"] = record.timed_out;
  object["started_at"] = record.started_at;
  object["finished_at"] = record.finished_at;
  if (!record.reason.empty()) object["reason"] = record.reason;
  if (!record.message.empty()) object["message"] = record.message;
  return boost::json::serialize(object);
}

Result<ExitRecord> exit_record_from_json(std::string_view text) {
  TRY_ASSIGN(const auto object, parse_object(text, "exit record"));
  const auto* code = object.if_contains("code");
  if (code == nullptr || !code->is_int64())
    return fail(Code::kInvalidArgument, "exit record: code: must be an integer");
  ExitRecord record;
  record.code = static_cast<int>(code->get_int64());
  record.signal = static_cast<int>(int_field(object, "signal"));
  record.oom = bool_field(object, "oom");
  record.timed_out = bool_field(object, "timed_out");
  record.started_at = int_field(object, "started_at");
  record.finished_at = int_field(object, "finished_at");
  record.reason = text_field(object, "reason");
  record.message = text_field(object, "message");
  return record;
}

}  // namespace berth::shim
