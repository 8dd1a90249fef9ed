// SPDX-License-Identifier: Apache-2.0
// Protection of the runtime's own binary against a container that reopens it through /proc/PID/exe for writing
// (CVE-2019-5736, R03): the process that forks containers runs from a read-only, detached clone of its own mount, so that
// every such open fails with EROFS, even from the binary executed as the container's entry point.
//
// main() of every program that makes containers calls protect_executable() first, before anything of the process has state:
// nothing is lost by starting anew. A read-only file system under the binary makes it unnecessary.
#pragma once

namespace berth::container {

// Whether /proc/self/exe is on a read-only mount.
bool executable_is_protected();

// Re-executes the program from a read-only clone of its mount; returns when that is done, not needed, or not possible (an
// old kernel: then create() goes on unprotected, as a runtime without this would).
void protect_executable(char** argv, char** envp);

}  // namespace berth::container
