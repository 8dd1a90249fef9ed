// SPDX-License-Identifier: Apache-2.0
// Store: the durable records of pods and containers, one SQLite database (WAL) shared by every process on the node.
//
// A record is written before the side effect that it announces (state kCreating, kRemoving), so that whoever opens the
// store after a crash can finish or take back what was under way. Every function is one transaction. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

struct sqlite3;

namespace berth::state {

enum class PodState : unsigned char { kCreating = 0, kReady = 1, kNotReady = 2, kRemoving = 3 };
enum class ContainerState : unsigned char { kCreating = 0, kCreated = 1, kRunning = 2, kExited = 3, kRemoving = 4 };

struct PodRecord {
  std::string id;
  std::string name_space;  // of the store: "k8s", "default"
  std::string name;        // the unique tuple: name_namespace_uid_attempt
  std::string config;      // serialized PodSandboxConfig
  std::string runtime_handler;
  PodState state = PodState::kCreating;
  long long created_at = 0;  // unix nanoseconds
  std::vector<std::string> ips;
  std::string cgroup_parent;      // absolute path within a hierarchy; its containers live below it
  bool own_cgroup = false;        // made by berth, to be removed with the pod
  bool network_attached = false;  // attach was begun and detach has not succeeded since
  pid_t shim_pid = 0;
  uint64_t shim_start_time = 0;
  pid_t pid_namespace_pid = 0;  // init of a shared pid namespace, 0 without one
  std::string boot_id;
};

struct ContainerRecord {
  std::string id;
  std::string pod_id;
  std::string name_space;
  std::string name;    // unique within the pod: name_attempt
  std::string config;  // serialized ContainerConfig
  std::string image_id;
  std::string image_ref;
  std::string image_name;
  ContainerState state = ContainerState::kCreating;
  long long created_at = 0;
  long long started_at = 0;
  long long finished_at = 0;
  int exit_code = 0;
  std::string reason;
  std::string message;
  std::string log_path;  // absolute, or empty for no log
  std::string cgroup_path;
  std::string resources;  // serialized LinuxContainerResources, as in force
  std::string user;       // serialized ContainerUser, as applied
  int stop_signal = 15;
  pid_t pid = 0;
};

class Store {
 public:
  // Opens or creates <root>/state.db; the directory must exist. kFailedPrecondition for a newer schema.
  static Result<std::unique_ptr<Store>> open(const std::string& root);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // kAlreadyExists when the id or (name_space, name) is taken.
  Result<> insert(const PodRecord& pod);
  // Replaces every column but id and name_space. kNotFound when the record is gone.
  Result<> update(const PodRecord& pod);
  Result<> remove_pod(const std::string& id);
  Result<std::optional<PodRecord>> find_pod(const std::string& id);
  Result<std::optional<PodRecord>> find_pod_by_name(const std::string& name_space, const std::string& name);
  // Oldest first.
  Result<std::vector<PodRecord>> pods(const std::string& name_space);

  // kAlreadyExists when the id or (pod, name) is taken; kNotFound when the pod has no record.
  Result<> insert(const ContainerRecord& container);
  Result<> update(const ContainerRecord& container);
  Result<> remove_container(const std::string& id);
  Result<std::optional<ContainerRecord>> find_container(const std::string& id);
  Result<std::optional<ContainerRecord>> find_container_by_name(const std::string& pod_id, const std::string& name);
  Result<std::vector<ContainerRecord>> containers(const std::string& name_space);
  // Container ids of every namespace: snapshots without one of these belong to nobody.
  Result<std::vector<std::string>> all_container_ids();
  // Pod ids of every namespace: network results without one of these belong to nobody.
  Result<std::vector<std::string>> all_pod_ids();

 private:
  explicit Store(sqlite3* db) : db_(db) {}
  Result<> migrate();
  Result<std::vector<PodRecord>> query_pods(const char* where, const std::vector<std::string>& values);
  Result<std::vector<ContainerRecord>> query_containers(const char* where, const std::vector<std::string>& values);
  Result<std::vector<std::string>> query_ids(const char* sql);

  std::mutex mutex_;
  sqlite3* db_;
};

}  // namespace berth::state
