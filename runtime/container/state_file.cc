// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/state_file.h"

#include <boost/json.hpp>

#include "runtime/base/strings.h"
#include "runtime/container/layout.h"
#include "runtime/sys/file.h"

namespace berth::container {
namespace {

namespace json = boost::json;

constexpr size_t kLimit = 4u << 20;

std::string_view driver_name(CgroupDriver driver) {
  switch (driver) {
    case CgroupDriver::kSystemd:
      return "systemd";
    case CgroupDriver::kDisabled:
      return "disabled";
    case CgroupDriver::kCgroupfs:
      break;
  }
  return "cgroupfs";
}

CgroupDriver driver_of(std::string_view name) {
  if (name == "systemd") return CgroupDriver::kSystemd;
  return name == "disabled" ? CgroupDriver::kDisabled : CgroupDriver::kCgroupfs;
}

json::object object_of(const std::map<std::string, std::string>& map, const json::storage_ptr& memory) {
  json::object out(memory);
  for (const auto& [key, value] : map) out[key] = value;
  return out;
}

// Members that are absent or of another type leave the default: an older or newer writer is no error.
struct Members {
  const json::object& object;

  void read(std::string_view key, std::string& out) const {
    const auto* value = object.if_contains(key);
    if (value != nullptr && value->is_string()) out = std::string_view(value->get_string());
  }
  template <std::integral T>
  void read(std::string_view key, T& out) const {
    const auto* value = object.if_contains(key);
    if (value == nullptr) return;
    boost::system::error_code error;
    const auto number = value->to_number<T>(error);
    if (!error) out = number;
  }
  void read(std::string_view key, bool& out) const {
    const auto* value = object.if_contains(key);
    if (value != nullptr && value->is_bool()) out = value->get_bool();
  }
  void read(std::string_view key, std::map<std::string, std::string>& out) const {
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_object()) return;
    for (const auto& entry : value->get_object()) {
      if (entry.value().is_string()) out.emplace(entry.key(), std::string_view(entry.value().get_string()));
    }
  }
};

}  // namespace

std::string encode_state(const StateRecord& record) {
  json::monotonic_resource memory(4096);
  json::object out(&memory);
  out["id"] = record.id;
  out["ociVersion"] = record.oci_version;
  out["bundle"] = record.bundle;
  out["rootfs"] = record.rootfs;
  out["created"] = record.created;
  out["owner"] = record.owner;
  if (!record.annotations.empty()) out["annotations"] = object_of(record.annotations, &memory);
  out["phase"] = record.phase == Phase::kCreated ? "created" : "creating";
  out["pid"] = record.pid;
  out["pidStartTime"] = record.pid_start_time;
  out["creatorPid"] = record.creator_pid;
  out["creatorStartTime"] = record.creator_start_time;
  out["cgroupDriver"] = driver_name(record.cgroup_driver);
  out["cgroups"] = object_of(record.cgroups, &memory);
  out["config"] = record.config_path;
  if (!record.rdt_group.empty()) out["rdtGroup"] = record.rdt_group;
  out["privatePidNamespace"] = record.private_pid_namespace;
  out["poststopHooks"] = record.has_poststop_hooks;
  out["noPivot"] = record.no_pivot;
  return json::serialize(out);
}

Result<StateRecord> decode_state(std::string_view text) {
  boost::system::error_code error;
  json::monotonic_resource memory(8192);
  const json::value document = json::parse({text.data(), text.size()}, error, &memory);
  if (error || !document.is_object()) return fail(Code::kDataLoss, "state file: not a JSON object");
  const Members members{document.get_object()};
  StateRecord out;
  members.read("id", out.id);
  members.read("ociVersion", out.oci_version);
  members.read("bundle", out.bundle);
  members.read("rootfs", out.rootfs);
  members.read("created", out.created);
  members.read("owner", out.owner);
  members.read("annotations", out.annotations);
  std::string phase;
  members.read("phase", phase);
  out.phase = phase == "created" ? Phase::kCreated : Phase::kCreating;
  members.read("pid", out.pid);
  members.read("pidStartTime", out.pid_start_time);
  members.read("creatorPid", out.creator_pid);
  members.read("creatorStartTime", out.creator_start_time);
  std::string driver;
  members.read("cgroupDriver", driver);
  out.cgroup_driver = driver_of(driver);
  members.read("cgroups", out.cgroups);
  members.read("config", out.config_path);
  members.read("rdtGroup", out.rdt_group);
  members.read("privatePidNamespace", out.private_pid_namespace);
  members.read("poststopHooks", out.has_poststop_hooks);
  members.read("noPivot", out.no_pivot);
  return out;
}

Result<> write_state_file(int dirfd, const StateRecord& record) {
  return sys::replace_file_at(dirfd, kStateFile, encode_state(record), 0600, false);
}

Result<StateRecord> read_state_file(int dirfd) {
  TRY_ASSIGN(const auto text, sys::read_file_at(dirfd, kStateFile, kLimit));
  return decode_state(text);
}

}  // namespace berth::container
