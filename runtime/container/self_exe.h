// SPDX-License-Identifier: Apache-2.0
// Protection of the runtime's own binary against a container that reopens it through /proc/PID/exe for writing
// (CVE-2019-5736, R03): the process that forks containers runs from a read-only, detached clone of its own mount, so that
// every such open fails with EROFS, even from the binary executed as the container's entry point.
//
// Programs that link create.cc or exec.cc get it without asking: a constructor re-executes them once, before main, when
// their arguments name a verb that makes a process (create, run, exec, restore) or when they are the shim. A read-only
// file system under the binary makes it unnecessary; then nothing happens.
#pragma once

namespace berth::container {

// Whether /proc/self/exe is on a read-only mount.
bool executable_is_protected();

// Re-executes from a read-only clone; returns only if that could not be done (errno tells) or is not needed.
void protect_executable(char** argv, char** envp);

}  // namespace berth::container
