// SPDX-License-Identifier: Apache-2.0
#include "agent/network/cni.h"

#include "agent/network/cni_plugin.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::network {
namespace {

CniCall make_call(const NetworkConfig& config, const CniConfig& list, const Attachment& attachment, std::string command) {
  CniCall call;
  call.command = std::move(command);
  call.config = &list;
  call.attachment = &attachment;
  call.bin_dirs = config.cni_bin_dir;
  call.deadline = config.deadline;
  return call;
}

Result<boost::json::value> add_all(const NetworkConfig& config, const CniConfig& list, const Attachment& attachment) {
  boost::json::value previous;
  for (const auto& plugin : list.plugins) {
    CniCall call = make_call(config, list, attachment, "ADD");
    call.plugin = &plugin;
    call.previous = &previous;
    TRY_ASSIGN(previous, call_cni_plugin(call));
  }
  return previous;
}

}  // namespace

Result<NetworkResult> cni_attach(const NetworkConfig& config, const KeptResults& kept, const Attachment& attachment) {
  TRY_ASSIGN(const auto list, load_cni_config(config.cni_conf_dir));
  KeptResult record{"cni", attachment, to_json(list), nullptr};
  TRY(kept.write(record));
  auto added = add_all(config, list, attachment);
  if (added) {
    record.result = *added;
    if (auto written = kept.write(record); !written) added = std::unexpected(std::move(written).error());
  }
  if (!added) {
    if (auto undone = cni_detach(config, kept, record, attachment.netns); !undone) {
      log_warn("network teardown after a failed attach did not finish; it is kept for a retry", {{"pod", attachment.pod_id}, {"error", undone.error().message()}});
    }
    return std::unexpected(std::move(added).error());
  }
  return network_result_from(*added);
}

Result<> cni_detach(const NetworkConfig& config, const KeptResults& kept, KeptResult record, const std::string& netns) {
  record.attachment.netns = netns;
  TRY_ASSIGN(const auto list, parse_cni_config(record.config, "kept result"));
  for (auto plugin = list.plugins.rbegin(); plugin != list.plugins.rend(); ++plugin) {
    CniCall call = make_call(config, list, record.attachment, "DEL");
    call.plugin = &*plugin;
    call.previous = &record.result;
    TRY(call_cni_plugin(call));
  }
  return kept.remove(record.attachment.pod_id);
}

}  // namespace berth::network
