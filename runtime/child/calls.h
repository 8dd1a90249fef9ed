// SPDX-License-Identifier: Apache-2.0
// Raw system calls by syscall(2) alone: the libc wrappers may lock or allocate. Results: >= 0, or -errno.
#pragma once

#include <cerrno>
#include <cstdint>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/child/plan.h"

namespace berth::child {

template <typename... Args>
inline long call(long nr, Args... args) {
  const long result = ::syscall(nr, args...);
  return result < 0 ? -errno : result;
}

inline long close_fd(int fd) { return call(SYS_close, fd); }

inline unsigned long length(const char* text) {
  unsigned long size = 0;
  // The barrier keeps the compiler from making this a call of strlen, which the child may not reference.
  while (text[size] != '\0') {
    ++size;
    asm volatile("");
  }
  return size;
}

// What the operations share.
struct Context {
  const Plan* plan;
  int slots[kMaxSlots];
  int detail;          // FailureDetail of the failure being returned
  const char* chosen;  // by kLookup, for kExec
  int empty_tmpfs;     // the mount that masks directories, once made
};

inline int pick(const Context& context, const Op& op) { return op.slot >= 0 ? context.slots[op.slot] : op.fd; }

// Each returns 0 or -errno.
long op_new_mount(Context& context, const Op& op);
long op_attach(Context& context, const Op& op);
long op_set_attr(Context& context, const Op& op);
long op_mknod(Context& context, const Op& op);
long op_symlink(Context& context, const Op& op);
long op_mask(Context& context, const Op& op);
long op_readonly(Context& context, const Op& op);
long op_pivot(Context& context, const Op& op);
long op_console(Context& context, const Op& op);
long op_stdio(Context& context, const Op& op);
long op_null_stdio(Context& context, const Op& op);
long op_own_stdio(Context& context, const Op& op);
long op_chdir(Context& context, const Op& op);
long op_lookup(Context& context, const Op& op);
long op_close_fds(Context& context, const Op& op);
long op_write_file(Context& context, const Op& op);
long op_join(Context& context, const Op& op);
long op_fork(Context& context, const Op& op);
long op_seccomp(Context& context, const Op& op);
long op_gate(Context& context, const Op& op);
long op_hook(Context& context, const Op& op);
long op_exec(Context& context, const Op& op);

// Paths in the root. `resolve` is added to RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS.
long open_in(int root, const char* path, uint64_t flags, uint64_t resolve);
// Opens the directory `path` O_PATH, making what is missing; dangling links are followed inside the root.
long make_directory(int root, const char* path);
// Opens the parent of `path` (made if missing) and sets `name` to the last component.
long open_parent(int root, const char* path, const char** name);
long move_mount_to(int mount, int target);

// Messages.
long send_report(const Context& context, ReportKind kind, int value, int passed_fd);
long wait_go(const Context& context);

}  // namespace berth::child
