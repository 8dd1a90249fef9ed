// SPDX-License-Identifier: Apache-2.0
// What the child does between clone3 and execve, as plain data: an array of operations that the parent prepared. The
// child executes them in order with nothing but system calls; the first failure is reported as {operation, errno} and
// ends it. Pointers point into the parent's memory, of which the child has a copy.
//
// Wherever an operation takes `fd` and `slot`: a slot >= 0 wins and names a descriptor that an earlier operation stored;
// else `fd` is a descriptor inherited from the parent (or AT_FDCWD).
#pragma once

#include <cstdint>

namespace berth::child {

inline constexpr int kMaxSlots = 128;
inline constexpr int kNone = -1;

enum class OpCode : uint8_t {
  kCall,       // system call `nr` with `args`; its result is stored in `slot` when that is >= 0
  kWriteFile,  // write `text` (count bytes) to `path` below fd/slot; resolved beneath it, no links
  kSync,       // tell the parent that point `value` is reached and wait for its go
  kJoin,       // setns to each of `joins`: what fails with EPERM again after the user namespace has been entered
  kFork,       // clone3(CLONE_PARENT | flags): this process reports the pid and ends, the new one goes on
  kNewMount,   // fsopen(text) + fsconfig(list: key, value pairs; a null value sets a flag) + fsmount(attr_set) → slot
  kAttach,     // move_mount of fd/slot onto `path` in the root; missing directories (or the file) are made
  kSetAttr,    // mount_setattr of fd/slot
  kMknod,      // device node `path` in the root: args = {mode, device, uid, gid}
  kSymlink,    // `path` in the root → text; an existing entry stays
  kMask,       // hide `path` in the root: a file by /dev/null, a directory by an empty tmpfs; absent is fine
  kReadonly,   // make `path` in the root read-only; absent is fine
  kPivot,      // make the root "/" by pivot_root, or by MS_MOVE and chroot with kNoPivot
  kConsole,    // open a pty in the devpts of slot (or the root's /dev/pts), send its master, bind /dev/console
  kStdio,      // args = descriptors for 0, 1, 2 (or -1)
  kNullStdio,  // standard streams that are the host's /dev/null become the root's
  kOwnStdio,   // chown the standard streams to uid args[0]
  kChdir,      // `path`, which must lie inside the root; with kMakeMissing it is only made
  kLookup,     // choose the first executable file of `list` for kExec
  kCloseFds,   // close every descriptor >= 3 except the sorted `keep`
  kSeccomp,    // args = {filter length, filter address, flags}; a listener's number is sent by a sync
  kReady,      // tell the parent that everything is prepared
  kGate,       // wait for one byte on fd (the exec.fifo)
  kHook,       // run list[0] inside the container: envp `env`, standard input fd, deadline args[0] in milliseconds
  kExec,       // mark every descriptor >= value close-on-exec and execve the looked-up path with `list` and `env`
};

// Flags of operations.
inline constexpr uint32_t kFile = 1u << 0;          // kAttach: the target is a file, not a directory
inline constexpr uint32_t kNoSymlinks = 1u << 1;    // kAttach: no component of the target may be a link
inline constexpr uint32_t kMayBeProc = 1u << 2;     // kAttach: the target may lie on procfs (allow-listed names only)
inline constexpr uint32_t kCopyMode = 1u << 3;      // kAttach: the mount takes mode and owner of what it covers
inline constexpr uint32_t kMakeMissing = 1u << 4;   // kChdir
inline constexpr uint32_t kRetryLater = 1u << 5;    // kChdir: EPERM and EACCES are left to a later attempt
inline constexpr uint32_t kNoPivot = 1u << 6;       // kPivot
inline constexpr uint32_t kRecursive = 1u << 7;     // kSetAttr
inline constexpr uint32_t kSearched = 1u << 8;      // kLookup: the list comes from PATH
inline constexpr uint32_t kToStderr = 1u << 9;      // kExec, kHook: failures go to standard error, create() has returned
inline constexpr uint32_t kAtRoot = 1u << 10;       // kAttach: the target is outside the root: `path` as the caller sees it
inline constexpr uint32_t kOnlyIfMissing = 1u << 11;  // kSymlink: only when text exists (core → /proc/kcore)

struct Join {
  int fd;
  uint64_t type;  // CLONE_NEW…
};

struct Op {
  OpCode code{};
  uint32_t flags = 0;
  int fd = kNone;
  int slot = kNone;
  long nr = 0;
  uint64_t args[6] = {};
  int tolerated[3] = {};  // errnos that count as success (0: none)
  int value = 0;
  const char* path = nullptr;
  const char* text = nullptr;
  const char* const* list = nullptr;  // null-terminated (kNewMount: pairs, count entries)
  const char* const* env = nullptr;
  const Join* joins = nullptr;
  const int* keep = nullptr;
  uint32_t count = 0;  // entries of list, joins, keep; bytes of text
  uint64_t attr_set = 0;
  uint64_t attr_clear = 0;
  uint64_t propagation = 0;  // MS_PRIVATE…
};

struct Plan {
  const Op* ops = nullptr;
  uint32_t count = 0;
  int sync = kNone;  // SOCK_SEQPACKET to the parent
  int root = kNone;  // the root file system as a mount descriptor, O_PATH
};

// Messages to the parent; the answer to kSyncPoint and kForked is one byte.
enum class ReportKind : int32_t { kFailed, kSyncPoint, kForked, kConsole, kReady };
struct Report {
  ReportKind kind;
  int32_t op;     // index into the plan
  int32_t error;  // errno of kFailed
  int32_t value;  // sync point; pid of kForked; with kSeccomp the listener's descriptor number
  int32_t detail; // kFailed: see FailureDetail
};

// What a kFailed of some operations means beyond its errno.
enum FailureDetail : int32_t {
  kPlain = 0,
  kTargetOnProc,    // kAttach: the target lies on procfs
  kCwdOutside,      // kChdir: the working directory is outside the root
  kHookStatus,      // kHook: error holds the wait status
  kNotDevpts,       // kConsole
  kWrongNode,       // kMknod: something else is there; kConsole: /dev/console is no file
};

// Runs the plan; never returns. Only async-signal-safe: callable after clone3 in a copy of a threaded program.
[[noreturn]] void run(const Plan& plan);

}  // namespace berth::child
