// SPDX-License-Identifier: Apache-2.0
#include "agent/accounting/stats.h"

#include <algorithm>

#include "agent/pods/engine_impl.h"
#include "agent/pods/filters.h"
#include "agent/pods/validate.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::pods {
namespace {

constexpr long long kUsageLifetime = 10'000'000'000;  // walking a writable layer is dear

template <typename Message>
void pressure_into(const std::optional<cgroup::Pressure>& pressure, Message& message) {
  if (!pressure) return;
  const auto copy = [](const cgroup::PressureLine& from, v1::PsiData& to) {
    to.set_total(from.total_us);
    to.set_avg10(from.avg10);
    to.set_avg60(from.avg60);
    to.set_avg300(from.avg300);
  };
  copy(pressure->some, *message.mutable_psi()->mutable_some());
  copy(pressure->full, *message.mutable_psi()->mutable_full());
}

// CpuUsage and MemoryUsage of a container and of a pod are the same messages.
void fill_cpu(const accounting::Usage& usage, v1::CpuUsage& cpu) {
  cpu.set_timestamp(usage.taken_at);
  cpu.mutable_usage_core_nano_seconds()->set_value(usage.cpu_nanos);
  if (usage.cpu_nano_cores) cpu.mutable_usage_nano_cores()->set_value(*usage.cpu_nano_cores);
  pressure_into(usage.cpu_pressure, cpu);
}

void fill_memory(const accounting::Usage& usage, v1::MemoryUsage& memory) {
  memory.set_timestamp(usage.taken_at);
  memory.mutable_usage_bytes()->set_value(usage.memory_bytes);
  memory.mutable_working_set_bytes()->set_value(usage.working_set_bytes);
  memory.mutable_rss_bytes()->set_value(usage.rss_bytes);
  memory.mutable_page_faults()->set_value(usage.page_faults);
  memory.mutable_major_page_faults()->set_value(usage.major_page_faults);
  const uint64_t limit = usage.memory_limit_bytes.value_or(0);
  memory.mutable_available_bytes()->set_value(limit > usage.working_set_bytes ? limit - usage.working_set_bytes : 0);
  pressure_into(usage.memory_pressure, memory);
}

}  // namespace

std::shared_ptr<accounting::Sampler> EngineImpl::sampler_of(const std::string& id, const std::string& cgroup_path) {
  {
    const std::lock_guard lock(stats_mutex_);
    const auto found = samplers_.find(id);
    if (found != samplers_.end()) return found->second;
  }
  auto located = cgroup::Cgroup::locate(layout_, cgroup_path, id);
  if (!located) return nullptr;
  auto group = cgroup::Cgroup::open(located->paths());
  if (!group || group->empty()) return nullptr;
  auto sampler = std::make_shared<accounting::Sampler>(std::move(*group));
  const std::lock_guard lock(stats_mutex_);
  return samplers_.try_emplace(id, std::move(sampler)).first->second;
}

void EngineImpl::fill_writable_layer(const Container& container, v1::ContainerStats& stats) {
  const std::string& id = container.record.id;
  CachedUsage cached;
  {
    const std::lock_guard lock(stats_mutex_);
    cached = usages_[id];
  }
  if (cached.taken_at == 0 || monotonic_nanos() - cached.taken_at > kUsageLifetime) {
    auto usage = images_->snapshot_usage(id);
    if (!usage) return;
    cached.usage = std::move(*usage);
    cached.taken_at = monotonic_nanos();
    const std::lock_guard lock(stats_mutex_);
    usages_[id] = cached;
  }
  v1::FilesystemUsage& layer = *stats.mutable_writable_layer();
  layer.set_timestamp(realtime_nanos());
  layer.mutable_fs_id()->set_mountpoint(cached.usage.mountpoint);
  layer.mutable_used_bytes()->set_value(cached.usage.used_bytes);
  layer.mutable_inodes_used()->set_value(cached.usage.inodes_used);
}

Result<v1::ContainerStats> EngineImpl::stats_of(const Container& container) {
  v1::ContainerStats stats;
  v1::ContainerAttributes& attributes = *stats.mutable_attributes();
  attributes.set_id(container.record.id);
  *attributes.mutable_metadata() = container.config->metadata();
  *attributes.mutable_labels() = container.config->labels();
  *attributes.mutable_annotations() = container.config->annotations();
  fill_writable_layer(container, stats);
  if (container.record.state != state::ContainerState::kRunning) return stats;
  const auto sampler = sampler_of(container.record.id, container.record.cgroup_path);
  if (sampler == nullptr) return stats;
  TRY_ASSIGN(const accounting::Usage usage, sampler->sample());
  fill_cpu(usage, *stats.mutable_cpu());
  fill_memory(usage, *stats.mutable_memory());
  if (usage.swap_bytes) {
    stats.mutable_swap()->set_timestamp(usage.taken_at);
    stats.mutable_swap()->mutable_swap_usage_bytes()->set_value(*usage.swap_bytes);
    const uint64_t limit = usage.swap_limit_bytes.value_or(0);
    stats.mutable_swap()->mutable_swap_available_bytes()->set_value(
        limit > *usage.swap_bytes ? limit - *usage.swap_bytes : 0);
  }
  if (usage.io_pressure) {
    stats.mutable_io()->set_timestamp(usage.taken_at);
    pressure_into(usage.io_pressure, *stats.mutable_io());
  }
  return stats;
}

Result<v1::ContainerStats> EngineImpl::container_stats(const std::string& id) {
  TRY_ASSIGN(const ContainerPtr container, container_of(id));
  return stats_of(*container);
}

Result<v1::ListContainerStatsResponse> EngineImpl::list_container_stats(const v1::ListContainerStatsRequest& request) {
  TRY(refresh());
  v1::ListContainerStatsResponse response;
  for (const ContainerPtr& container : registry_.containers()) {
    if (container->record.state != state::ContainerState::kRunning || !matches(*container, request.filter())) continue;
    // One that ends while we look is left out; it must not cost the others their figures.
    if (auto stats = stats_of(*container)) *response.add_stats() = std::move(*stats);
  }
  return response;
}

Result<v1::PodSandboxStats> EngineImpl::pod_stats_of(const Pod& pod) {
  v1::PodSandboxStats stats;
  v1::PodSandboxAttributes& attributes = *stats.mutable_attributes();
  attributes.set_id(pod.record.id);
  *attributes.mutable_metadata() = pod.config->metadata();
  *attributes.mutable_labels() = pod.config->labels();
  *attributes.mutable_annotations() = pod.config->annotations();
  v1::LinuxPodSandboxStats& figures = *stats.mutable_linux();
  if (const auto sampler = sampler_of(pod.record.id, pod.record.cgroup_parent)) {
    TRY_ASSIGN(const accounting::Usage usage, sampler->sample());
    fill_cpu(usage, *figures.mutable_cpu());
    fill_memory(usage, *figures.mutable_memory());
    figures.mutable_process()->set_timestamp(usage.taken_at);
    figures.mutable_process()->mutable_process_count()->set_value(usage.processes.value_or(0));
    if (usage.io_pressure) {
      figures.mutable_io()->set_timestamp(usage.taken_at);
      pressure_into(usage.io_pressure, *figures.mutable_io());
    }
  }
  for (const ContainerPtr& container : registry_.containers_of(pod.record.id)) {
    if (container->record.state != state::ContainerState::kRunning) continue;
    if (auto one = stats_of(*container)) *figures.add_containers() = std::move(*one);
  }
  if (!uses_host_network(*pod.config)) {
    if (auto interfaces = accounting::network_usage(pod.record.shim_pid)) {
      figures.mutable_network()->set_timestamp(realtime_nanos());
      for (const accounting::InterfaceUsage& from : *interfaces) {
        v1::NetworkInterfaceUsage usage;
        usage.set_name(from.name);
        usage.mutable_rx_bytes()->set_value(from.rx_bytes);
        usage.mutable_rx_errors()->set_value(from.rx_errors);
        usage.mutable_tx_bytes()->set_value(from.tx_bytes);
        usage.mutable_tx_errors()->set_value(from.tx_errors);
        if (from.name == "eth0") {
          *figures.mutable_network()->mutable_default_interface() = usage;
        } else {
          *figures.mutable_network()->add_interfaces() = usage;
        }
      }
    }
  }
  return stats;
}

Result<v1::PodSandboxStats> EngineImpl::pod_sandbox_stats(const std::string& pod_id) {
  TRY_ASSIGN(const PodPtr pod, pod_of(pod_id));
  if (pod->record.state != state::PodState::kReady) {
    return fail(Code::kFailedPrecondition, concat("pod sandbox ", quote(pod->record.id), " is not ready"));
  }
  return pod_stats_of(*pod);
}

Result<v1::ListPodSandboxStatsResponse> EngineImpl::list_pod_sandbox_stats(
    const v1::ListPodSandboxStatsRequest& request) {
  TRY(refresh());
  v1::ListPodSandboxStatsResponse response;
  for (const PodPtr& pod : registry_.pods()) {
    if (pod->record.state != state::PodState::kReady || !matches(*pod, request.filter())) continue;
    if (auto stats = pod_stats_of(*pod)) *response.add_stats() = std::move(*stats);
  }
  return response;
}

}  // namespace berth::pods
