// SPDX-License-Identifier: Apache-2.0
// One granted request: chooses the protocol, answers the upgrade, and runs the session to its end on the caller's
// thread.
#pragma once

#include "agent/pods/engine.h"
#include "agent/streaming/http.h"
#include "agent/streaming/tokens.h"
#include "runtime/base/fd.h"

namespace berth::streaming {

// `socket` is non-blocking; `stop` becomes readable when the server ends.
void run_session(pods::Engine& engine, Fd socket, int stop, const Grant& grant, const Request& request);

}  // namespace berth::streaming
