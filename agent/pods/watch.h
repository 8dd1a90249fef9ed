// SPDX-License-Identifier: Apache-2.0
// The watch on one pod's shim (berthd only): a thread that sleeps in the shim's event stream.
#pragma once

#include <thread>

#include "agent/pods/engine_impl.h"
#include "runtime/base/fd.h"

namespace berth::pods {

struct EngineImpl::Watch {
  Fd stop_event;  // readable: end
  std::thread thread;

  // Ends and joins. Never called on the watch's own thread.
  void stop();
  ~Watch() { stop(); }
};

}  // namespace berth::pods
