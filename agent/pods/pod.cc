// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/pod.h"

#include <algorithm>

namespace berth::pods {
namespace {

template <typename Map>
typename Map::mapped_type find_in(const Map& map, const std::string& prefix) {
  if (prefix.empty()) return nullptr;
  const auto first = map.lower_bound(prefix);
  if (first == map.end() || !first->first.starts_with(prefix)) return nullptr;
  if (first->first.size() == prefix.size()) return first->second;
  const auto second = std::next(first);
  return second != map.end() && second->first.starts_with(prefix) ? nullptr : first->second;
}

template <typename Map>
std::vector<typename Map::mapped_type> oldest_first(const Map& map) {
  std::vector<typename Map::mapped_type> values;
  values.reserve(map.size());
  for (const auto& [id, value] : map) values.push_back(value);
  std::stable_sort(values.begin(), values.end(),
                   [](const auto& a, const auto& b) { return a->record.created_at < b->record.created_at; });
  return values;
}

}  // namespace

PodPtr make_pod(state::PodRecord record) {
  auto config = std::make_shared<v1::PodSandboxConfig>();
  config->ParseFromString(record.config);
  return std::make_shared<const Pod>(Pod{std::move(record), std::move(config)});
}

ContainerPtr make_container(state::ContainerRecord record) {
  auto config = std::make_shared<v1::ContainerConfig>();
  config->ParseFromString(record.config);
  return std::make_shared<const Container>(Container{std::move(record), std::move(config)});
}

void Registry::put(PodPtr pod) {
  const std::lock_guard lock(mutex_);
  pods_[pod->record.id] = std::move(pod);
}

void Registry::put(ContainerPtr container) {
  const std::lock_guard lock(mutex_);
  containers_[container->record.id] = std::move(container);
}

void Registry::erase_pod(const std::string& id) {
  const std::lock_guard lock(mutex_);
  pods_.erase(id);
}

void Registry::erase_container(const std::string& id) {
  const std::lock_guard lock(mutex_);
  containers_.erase(id);
}

void Registry::replace(std::vector<PodPtr> pods, std::vector<ContainerPtr> containers) {
  const std::lock_guard lock(mutex_);
  pods_.clear();
  containers_.clear();
  for (PodPtr& pod : pods) pods_[pod->record.id] = std::move(pod);
  for (ContainerPtr& container : containers) containers_[container->record.id] = std::move(container);
}

PodPtr Registry::find_pod(const std::string& id_or_prefix) const {
  const std::lock_guard lock(mutex_);
  return find_in(pods_, id_or_prefix);
}

ContainerPtr Registry::find_container(const std::string& id_or_prefix) const {
  const std::lock_guard lock(mutex_);
  return find_in(containers_, id_or_prefix);
}

std::vector<PodPtr> Registry::pods() const {
  const std::lock_guard lock(mutex_);
  return oldest_first(pods_);
}

std::vector<ContainerPtr> Registry::containers() const {
  const std::lock_guard lock(mutex_);
  return oldest_first(containers_);
}

std::vector<ContainerPtr> Registry::containers_of(const std::string& pod_id) const {
  std::vector<ContainerPtr> all = containers();
  std::erase_if(all, [&](const ContainerPtr& container) { return container->record.pod_id != pod_id; });
  return all;
}

}  // namespace berth::pods
