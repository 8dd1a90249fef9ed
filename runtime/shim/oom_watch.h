// SPDX-License-Identifier: Apache-2.0
// How often the kernel has killed in a container's cgroup, through files opened while the cgroup surely is the
// container's; and a call when that grows. Cgroup v1 and v2.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "runtime/base/fd.h"
#include "runtime/shim/loop.h"

namespace berth::shim {

class OomWatch {
 public:
  explicit OomWatch(Loop& loop) : loop_(loop) {}
  ~OomWatch();
  OomWatch(const OomWatch&) = delete;
  OomWatch& operator=(const OomWatch&) = delete;

  // `cgroups` as in container::State. Without a memory controller nothing is ever counted.
  void open(const std::map<std::string, std::string>& cgroups, std::function<void()> on_oom);
  // The kernel's oom_kill counter now; calls on_oom if it has grown since the last look.
  uint64_t count();

 private:
  Loop& loop_;
  Fd counter_;  // memory.events or memory.oom_control
  Fd event_;    // v1: eventfd registered in cgroup.event_control
  uint64_t seen_ = 0;
  uint64_t timer_ = 0;
  std::function<void()> on_oom_;
};

}  // namespace berth::shim
