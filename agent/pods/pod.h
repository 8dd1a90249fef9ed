// SPDX-License-Identifier: Apache-2.0
// Pods and containers in memory: immutable snapshots that lists and status read without waiting for anything.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/state/store.h"
#include "cri/proto/runtime/v1/api.pb.h"

namespace berth::pods {

namespace v1 = ::runtime::v1;

struct Pod {
  state::PodRecord record;
  std::shared_ptr<const v1::PodSandboxConfig> config;
};

struct Container {
  state::ContainerRecord record;
  std::shared_ptr<const v1::ContainerConfig> config;
};

using PodPtr = std::shared_ptr<const Pod>;
using ContainerPtr = std::shared_ptr<const Container>;

PodPtr make_pod(state::PodRecord record);
ContainerPtr make_container(state::ContainerRecord record);

// Thread-safe; the lock is held for map operations only. Finders take a full id or a prefix that only one object has.
class Registry {
 public:
  void put(PodPtr pod);
  void put(ContainerPtr container);
  void erase_pod(const std::string& id);
  void erase_container(const std::string& id);
  void replace(std::vector<PodPtr> pods, std::vector<ContainerPtr> containers);

  PodPtr find_pod(const std::string& id_or_prefix) const;
  ContainerPtr find_container(const std::string& id_or_prefix) const;
  // Oldest first.
  std::vector<PodPtr> pods() const;
  std::vector<ContainerPtr> containers() const;
  std::vector<ContainerPtr> containers_of(const std::string& pod_id) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, PodPtr> pods_;
  std::map<std::string, ContainerPtr> containers_;
};

}  // namespace berth::pods
