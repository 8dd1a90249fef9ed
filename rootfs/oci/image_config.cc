// SPDX-License-Identifier: Apache-2.0
#include "rootfs/oci/image_config.h"

#include <algorithm>

#include "rootfs/oci/json_fields.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

// A NUL inside an argument or variable would cut it short on its way to execve.
Result<> refuse_nul(const std::vector<std::string>& list, std::string_view what) {
  const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (std::ranges::any_of(list, has_nul)) return fail(Code::kInvalidArgument, concat(quote(what), " contains NUL"));
  return {};
}

Result<> parse_run_config(const boost::json::object& object, ImageConfig& config) {
  TRY_ASSIGN(config.user, text_field(object, "User"));
  TRY_ASSIGN(config.env, list_field(object, "Env"));
  TRY_ASSIGN(config.entrypoint, list_field(object, "Entrypoint"));
  TRY_ASSIGN(config.cmd, list_field(object, "Cmd"));
  TRY_ASSIGN(config.working_dir, text_field(object, "WorkingDir"));
  TRY_ASSIGN(config.stop_signal, text_field(object, "StopSignal"));
  TRY_ASSIGN(config.volumes, set_field(object, "Volumes"));
  TRY_ASSIGN(config.exposed_ports, set_field(object, "ExposedPorts"));
  TRY_ASSIGN(config.labels, map_field(object, "Labels"));
  TRY(refuse_nul(config.env, "Env"));
  TRY(refuse_nul(config.entrypoint, "Entrypoint"));
  TRY(refuse_nul(config.cmd, "Cmd"));
  TRY(refuse_nul({config.user, config.working_dir, config.stop_signal}, "User, WorkingDir or StopSignal"));
  return refuse_nul(config.volumes, "Volumes");
}

}  // namespace

Result<ParsedConfig> parse_image_config(std::string_view bytes) {
  TRY_ASSIGN(const boost::json::value document, parse_json(bytes), "image config");
  const auto* object = document.if_object();
  if (object == nullptr) return fail(Code::kInvalidArgument, "image config: it is not a JSON object");
  ParsedConfig parsed;
  TRY_ASSIGN(parsed.config.architecture, text_field(*object, "architecture"), "image config");
  TRY_ASSIGN(parsed.config.os, text_field(*object, "os"), "image config");
  TRY_ASSIGN(parsed.config.created, text_field(*object, "created"), "image config");
  if (const auto* run = object_field(*object, "config")) TRY(parse_run_config(*run, parsed.config), "image config");
  const auto* rootfs = object_field(*object, "rootfs");
  if (rootfs == nullptr) return fail(Code::kInvalidArgument, "image config: no \"rootfs\"");
  TRY_ASSIGN(const auto diff_ids, list_field(*rootfs, "diff_ids"), "image config");
  for (const auto& text : diff_ids) {
    TRY_ASSIGN(Digest diff_id, Digest::parse(text), "image config: diff_ids");
    parsed.diff_ids.push_back(std::move(diff_id));
  }
  return parsed;
}

std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids) {
  std::vector<Digest> chain;
  for (const auto& diff_id : diff_ids) {
    chain.push_back(chain.empty() ? diff_id : Digest::of(concat(chain.back().str(), " ", diff_id.str())));
  }
  return chain;
}

}  // namespace berth::rootfs
