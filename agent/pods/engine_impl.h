// SPDX-License-Identifier: Apache-2.0
// The one implementation of Engine. Its functions stand in the files of their verbs; this header is for them alone.
//
// Two ways of life. Live (berthd): the registry is the truth, a watch on every shim keeps it so. Daemonless: every call
// reloads the registry from the store and takes exits from the shims' exit records.
// Order of locks: a pod's lock (core::PodLocks) → records_mutex_ → the registry's own.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <thread>

#include "agent/accounting/stats.h"
#include "agent/core/joins.h"
#include "agent/core/pod_locks.h"
#include "agent/network/network.h"
#include "agent/pods/engine.h"
#include "agent/pods/host_facts.h"
#include "agent/pods/pod.h"
#include "agent/pods/spec_builder.h"
#include "agent/shims/client.h"
#include "agent/state/store.h"

namespace berth::pods {

class EngineImpl final : public Engine {
 public:
  EngineImpl(EngineConfig config, std::shared_ptr<rootfs::Images> images, bool live);
  ~EngineImpl() override;
  Result<> open();

  Result<std::string> run_pod_sandbox(const v1::RunPodSandboxRequest& request) override;
  Result<> stop_pod_sandbox(const std::string& pod_id) override;
  Result<> remove_pod_sandbox(const std::string& pod_id) override;
  Result<v1::PodSandboxStatusResponse> pod_sandbox_status(const std::string& pod_id, bool verbose) override;
  Result<v1::ListPodSandboxResponse> list_pod_sandbox(const v1::ListPodSandboxRequest& request) override;

  Result<std::string> create_container(const v1::CreateContainerRequest& request) override;
  Result<> start_container(const std::string& id) override;
  Result<> stop_container(const std::string& id, std::chrono::seconds grace) override;
  Result<> remove_container(const std::string& id) override;
  Result<v1::ContainerStatusResponse> container_status(const std::string& id, bool verbose) override;
  Result<v1::ListContainersResponse> list_containers(const v1::ListContainersRequest& request) override;
  Result<> update_container_resources(const v1::UpdateContainerResourcesRequest& request) override;
  Result<> reopen_container_log(const std::string& id) override;
  Result<> kill_container(const std::string& id, int signal) override;
  Result<shim::ExitRecord> wait_container(const std::string& id) override;

  Result<v1::ExecSyncResponse> exec_sync(const v1::ExecSyncRequest& request) override;
  Result<std::unique_ptr<ExecSession>> exec(const std::string& id, const ExecOptions& options) override;
  Result<std::unique_ptr<ExecSession>> attach(const std::string& id, const AttachOptions& options) override;
  Result<Fd> dial(const std::string& pod_id, uint16_t port) override;

  Result<v1::ContainerStats> container_stats(const std::string& id) override;
  Result<v1::ListContainerStatsResponse> list_container_stats(const v1::ListContainerStatsRequest& request) override;
  Result<v1::PodSandboxStats> pod_sandbox_stats(const std::string& pod_id) override;
  Result<v1::ListPodSandboxStatsResponse> list_pod_sandbox_stats(
      const v1::ListPodSandboxStatsRequest& request) override;

  Result<std::string> resolve_container(const std::string& name_or_id) override;
  std::string cgroup_driver() const override { return "cgroupfs"; }
  std::string network_problem() override;
  void on_event(std::function<void(const LifecycleEvent&)> observer) override;

 private:
  using Kind = LifecycleEvent::Kind;

  // engine.cc: paths, look-ups, records, events
  std::string pod_directory(const std::string& pod_id) const;
  std::string bundle_directory(const std::string& pod_id, const std::string& id) const;
  Result<PodPtr> pod_of(const std::string& id);              // refreshes; kNotFound
  Result<ContainerPtr> container_of(const std::string& id);  // refreshes; kNotFound
  Result<shims::ShimClient> shim_of(const std::string& pod_id) const;
  // Applies `edit` to the newest record, stores and publishes it; `edit` returning false leaves it as it is.
  Result<ContainerPtr> change_container(const std::string& id,
                                        const std::function<bool(state::ContainerRecord&)>& edit);
  Result<PodPtr> change_pod(const std::string& id, const std::function<bool(state::PodRecord&)>& edit);
  // Takes an exit over into the record, once, with its events.
  void note_exit(const std::string& id, const shim::ExitRecord& exit);
  void note_lost(const ContainerPtr& container);  // exit record of the shim if there is one, else 255 Unknown
  void emit(Kind kind, const Pod& pod, const Container* container = nullptr, std::optional<shim::ExitRecord> exit = {});
  Result<network::Network*> network();  // opened when first needed

  // recover.cc
  Result<> refresh();
  Result<> load();
  Result<> recover();
  Result<> recover_pod(const PodPtr& pod);
  void settle_containers(const PodPtr& pod, const std::vector<shims::ContainerState>& states);
  Result<> finish_interrupted();
  void remove_orphans();
  void sweep_abandoned();

  // watch.cc
  void start_watch(const std::string& pod_id);
  void stop_watch(const std::string& pod_id);
  void watch_pod(const std::string& pod_id, int stop);
  void shim_lost(const std::string& pod_id);

  // sandbox_run.cc
  Result<std::string> run_new_pod(const v1::RunPodSandboxRequest& request, const std::string& name);
  Result<> build_pod(state::PodRecord& record, const v1::PodSandboxConfig& config);
  Result<> write_pod_files(const state::PodRecord& record, const v1::PodSandboxConfig& config);
  Result<> make_pod_cgroup(const state::PodRecord& record) const;
  Result<> attach_network(state::PodRecord& record, const v1::PodSandboxConfig& config, const shims::ShimClient& shim);

  // sandbox_stop.cc
  Result<> stop_pod_locked(const PodPtr& pod);
  Result<> remove_pod_locked(const PodPtr& pod);
  // Network and shim away, idempotent; edits and stores the record.
  Result<> tear_down_pod(state::PodRecord& record);
  void clean_after_shim(const state::PodRecord& record);
  Result<> discard_pod(state::PodRecord& record);

  // container_create.cc
  Result<std::string> create_new_container(const v1::CreateContainerRequest& request, const PodPtr& pod,
                                           const std::string& name);
  Result<> build_container(state::ContainerRecord& record, const v1::ContainerConfig& config, const Pod& pod,
                           const rootfs::Image& image);
  Result<oci::Spec> make_spec(const state::ContainerRecord& record, const v1::ContainerConfig& config, const Pod& pod,
                              const rootfs::Image& image, const oci::User& user);
  Result<std::string> joined_pid_namespace(const v1::ContainerConfig& config, const Pod& pod);
  Result<> discard_container(const state::ContainerRecord& record);
  void remove_cgroup(const std::string& path, const std::string& id, bool kill_first) const;
  // The cgroup that this engine made for a pod, and its parent when that is empty then.
  void remove_own_cgroup(const std::string& path, const std::string& id) const;

  // container_start.cc, container_stop.cc
  Result<> start_locked(const ContainerPtr& container);
  Result<> remove_container_locked(const ContainerPtr& container);
  Result<> end_container(const ContainerPtr& container, std::chrono::milliseconds grace);

  // container_exec.cc
  Result<oci::Process> exec_process(const ContainerPtr& container, const ExecOptions& options);
  Result<ContainerPtr> running_container(const std::string& id);

  // query.cc
  v1::PodSandboxStatus pod_status(const Pod& pod) const;
  v1::ContainerStatus status_of(const Container& container) const;

  // stats.cc
  Result<v1::ContainerStats> stats_of(const Container& container);
  Result<v1::PodSandboxStats> pod_stats_of(const Pod& pod);
  std::shared_ptr<accounting::Sampler> sampler_of(const std::string& id, const std::string& cgroup_path);
  void fill_writable_layer(const Container& container, v1::ContainerStats& stats);

  struct Watch;
  struct CachedUsage {
    rootfs::FsUsage usage;
    long long taken_at = 0;  // CLOCK_MONOTONIC
  };

  const EngineConfig config_;
  const std::shared_ptr<rootfs::Images> images_;
  const bool live_;
  cgroup::Layout layout_;
  HostFacts host_;
  std::unique_ptr<state::Store> store_;
  Registry registry_;
  core::Joins joins_;
  core::PodLocks locks_;

  std::mutex network_mutex_;
  std::unique_ptr<network::Network> network_;

  std::mutex records_mutex_;
  std::set<std::string> starting_;                       // containers whose start is under way
  std::map<std::string, shim::ExitRecord> early_exits_;  // of those: kept back so that Started comes before Exited

  std::shared_mutex observer_mutex_;
  std::function<void(const LifecycleEvent&)> observer_;

  std::mutex watches_mutex_;
  std::map<std::string, std::unique_ptr<Watch>> watches_;

  std::mutex stats_mutex_;
  std::map<std::string, std::shared_ptr<accounting::Sampler>> samplers_;
  std::map<std::string, CachedUsage> usages_;
};

}  // namespace berth::pods
