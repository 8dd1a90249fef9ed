// SPDX-License-Identifier: Apache-2.0
// What is known about one container between two invocations: `state.json` of its state directory.
//
// Written before each side effect, so that a killed runtime leaves a record that remove(force) can finish. The reader
// takes missing and unknown members (an older or a newer writer); a file that is no JSON object is kDataLoss.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "runtime/base/result.h"
#include "runtime/container/container.h"

namespace berth::container {

// kCreating: create() is under way or died; kCreated: create() ended well. Whether it runs is told by the process.
enum class Phase : unsigned char { kCreating, kCreated };

struct StateRecord {
  std::string id;
  std::string oci_version;
  std::string bundle;
  std::string rootfs;   // absolute
  std::string created;  // RFC 3339 with nanoseconds
  std::string owner;
  std::map<std::string, std::string> annotations;
  Phase phase = Phase::kCreating;
  pid_t pid = 0;  // 0 until the process exists
  uint64_t pid_start_time = 0;
  pid_t creator_pid = 0;  // who runs create(): alive means "creating", not "died half-way"
  uint64_t creator_start_time = 0;
  CgroupDriver cgroup_driver = CgroupDriver::kCgroupfs;
  std::map<std::string, std::string> cgroups;  // cgroup::Cgroup::paths(), written before they are made
  std::string config_path;                     // the resolved config.json
  std::string rdt_group;                       // directory of a resctrl group that create() itself made, else empty
  bool private_pid_namespace = false;          // init's end takes every process along
  bool has_poststop_hooks = false;             // config.json is read again by delete only if true
  bool no_pivot = false;
};

// Atomic replacement of `state.json` in the state directory `dirfd`, mode 0600. Not synced: a reboot ends the container
// as well as the tmpfs it is on.
Result<> write_state_file(int dirfd, const StateRecord& record);
// kNotFound when the file is not there.
Result<StateRecord> read_state_file(int dirfd);

// The JSON of the file, for tests and for writers without a directory.
std::string encode_state(const StateRecord& record);
Result<StateRecord> decode_state(std::string_view json);

}  // namespace berth::container
