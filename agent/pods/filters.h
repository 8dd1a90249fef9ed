// SPDX-License-Identifier: Apache-2.0
// What a list request selects. Pure.
#pragma once

#include "agent/pods/pod.h"

namespace berth::pods {

// Every pair of the selector is in `labels`.
template <typename Labels>
bool has_labels(const Labels& labels, const google::protobuf::Map<std::string, std::string>& selector) {
  for (const auto& [key, value] : selector) {
    const auto found = labels.find(key);
    if (found == labels.end() || found->second != value) return false;
  }
  return true;
}

v1::PodSandboxState cri_state(state::PodState state);
v1::ContainerState cri_state(state::ContainerState state);

// Ids match in full or by prefix; an empty filter matches everything.
bool matches(const Pod& pod, const v1::PodSandboxFilter& filter);
bool matches(const Pod& pod, const v1::PodSandboxStatsFilter& filter);
bool matches(const Container& container, const v1::ContainerFilter& filter);
bool matches(const Container& container, const v1::ContainerStatsFilter& filter);

}  // namespace berth::pods
