// SPDX-License-Identifier: Apache-2.0
// Chooses between CNI and the built-in bridge, once per attach; detach follows the kept result.
#include "agent/network/network.h"

#include "agent/network/builtin.h"
#include "agent/network/cni.h"
#include "agent/network/kept_results.h"
#include "runtime/base/strings.h"

namespace berth::network {
namespace {

class ChosenNetwork : public Network {
 public:
  explicit ChosenNetwork(NetworkConfig config) : config_(std::move(config)), kept_(config_.root), builtin_(concat(config_.root, "/builtin")) {}

  Result<NetworkResult> attach(const Attachment& attachment) override {
    if (config_.mode == "none") return NetworkResult{};
    const std::string what = concat("set up network of pod ", quote(attachment.pod_id));
    auto result = use_cni() ? cni_attach(config_, kept_, attachment) : builtin_.attach(kept_, attachment);
    if (!result) return std::unexpected(std::move(result).error().wrap(what));
    return result;
  }

  Result<> detach(const std::string& pod_id, const std::string& netns) override {
    const std::string what = concat("tear down network of pod ", quote(pod_id));
    TRY_ASSIGN(auto record, kept_.read(pod_id), what);
    if (!record) return {};
    auto done = record->kind == "cni" ? cni_detach(config_, kept_, std::move(*record), netns) : builtin_.detach(kept_, *record);
    if (!done) return std::unexpected(std::move(done).error().wrap(what));
    return {};
  }

  Result<std::vector<std::string>> attached_pods() override { return kept_.pods(); }

  std::string problem() override {
    if (!use_cni()) return {};
    const auto list = load_cni_config(config_.cni_conf_dir);
    return list ? std::string() : list.error().message();
  }

 private:
  bool use_cni() const {
    if (config_.mode == "cni") return true;
    if (config_.mode == "builtin" || config_.mode == "none") return false;
    const auto list = load_cni_config(config_.cni_conf_dir);
    return list || list.error().code() != Code::kNotFound;
  }

  NetworkConfig config_;
  KeptResults kept_;
  Builtin builtin_;
};

}  // namespace

Result<std::unique_ptr<Network>> Network::open(NetworkConfig config) {
  if (config.mode != "auto" && config.mode != "cni" && config.mode != "builtin" && config.mode != "none") {
    return fail(Code::kInvalidArgument, concat("network ", quote(config.mode), ": must be auto, cni or builtin"));
  }
  return std::make_unique<ChosenNetwork>(std::move(config));
}

}  // namespace berth::network
