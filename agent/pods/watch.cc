// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::pods {

void EngineImpl::Watch::stop() {
  if (!thread.joinable()) return;
  const uint64_t one = 1;
  (void)!::write(stop_event.get(), &one, sizeof one);
  thread.join();
}

void EngineImpl::start_watch(const std::string& pod_id) {
  if (!live_) return;
  auto watch = std::make_unique<Watch>();
  watch->stop_event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch->stop_event) {
    log_error("pod is not watched", {{"pod", pod_id}, {"error", errno_text(errno)}});
    return;
  }
  const int stop = watch->stop_event.get();
  watch->thread = std::thread([this, pod_id, stop] { watch_pod(pod_id, stop); });
  const std::lock_guard lock(watches_mutex_);
  watches_[pod_id] = std::move(watch);
}

void EngineImpl::stop_watch(const std::string& pod_id) {
  std::unique_ptr<Watch> watch;
  {
    const std::lock_guard lock(watches_mutex_);
    const auto found = watches_.find(pod_id);
    if (found == watches_.end()) return;
    watch = std::move(found->second);
    watches_.erase(found);
  }
  watch->stop();
}

void EngineImpl::watch_pod(const std::string& pod_id, int stop) {
  const auto on_event = [this](const shims::ShimEvent& event) {
    if (event.kind == shims::ShimEvent::Kind::kExit) note_exit(event.id, event.exit);
  };
  // What ended between the last look and the subscription would be missed by the stream.
  const auto on_ready = [this, &pod_id] {
    auto shim = shim_of(pod_id);
    if (!shim) return;
    auto states = shim->list();
    if (!states) return;
    for (const shims::ContainerState& state : *states) {
      if (state.exit) note_exit(state.id, *state.exit);
    }
  };
  while (true) {
    auto shim = shim_of(pod_id);
    if (!shim || !shim->alive()) break;
    const auto result = shim->watch(on_event, stop, on_ready);
    if (result) return;  // told to stop
    log_warn("watch on a shim ended", {{"pod", pod_id}, {"error", result.error().message()}});
    if (!shim->alive()) break;
    // Alive but not answering (stopped, out of descriptors): ask again, slowly.
    struct pollfd waiting{stop, POLLIN, 0};
    if (::poll(&waiting, 1, 1000) > 0) return;
  }
  shim_lost(pod_id);
}

void EngineImpl::shim_lost(const std::string& pod_id) {
  const PodPtr pod = registry_.find_pod(pod_id);
  if (pod == nullptr) return;
  clean_after_shim(pod->record);
  for (const ContainerPtr& container : registry_.containers_of(pod_id)) {
    if (container->record.state != state::ContainerState::kExited) note_lost(container);
  }
  bool changed = false;
  auto stopped = change_pod(pod_id, [&](state::PodRecord& record) {
    changed = record.state == state::PodState::kReady;
    if (changed) record.state = state::PodState::kNotReady;
    return changed;
  });
  if (stopped && changed) emit(Kind::kSandboxStopped, **stopped);
}

}  // namespace berth::pods
