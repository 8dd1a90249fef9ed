// SPDX-License-Identifier: Apache-2.0
// flock(2) on <root>/images.lock: held shared while something unreferenced may exist (pulls, snapshots being made),
// exclusive by what removes the unreferenced. The kernel drops it with the process, so a killed one blocks nobody.
#pragma once

#include <functional>
#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

// Waits; `stop` is asked every 20 ms. The descriptor is the lock.
Result<Fd> lock_shared(const std::string& path, const std::function<Result<>()>& stop);
// Invalid Fd when somebody holds it.
Result<Fd> try_lock_exclusive(const std::string& path);

}  // namespace berth::rootfs
