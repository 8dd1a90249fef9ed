// SPDX-License-Identifier: Apache-2.0
// The interpreter: one switch, and the messages to the parent.
#include <csignal>
#include <sys/socket.h>

#include "runtime/child/calls.h"

namespace berth::child {
namespace {

long op_call(Context& context, const Op& op) {
  const long result = call(op.nr, op.args[0], op.args[1], op.args[2], op.args[3], op.args[4], op.args[5]);
  if (result < 0) return result;
  if (op.slot >= 0) context.slots[op.slot] = static_cast<int>(result);
  return 0;
}

long op_sync(const Context& context, const Op& op) {
  const long sent = send_report(context, ReportKind::kSyncPoint, op.value, -1);
  return sent < 0 ? sent : wait_go(context);
}

long op_ready(const Context& context) {
  // write, because a late seccomp filter is sure to allow it. With the parent dead, SIGPIPE ends us: a container that
  // nobody recorded must not stay.
  const Report report{ReportKind::kReady, 0, 0, 0, 0};
  const long sent = call(SYS_write, context.plan->sync, &report, sizeof report);
  return sent < 0 ? sent : 0;
}

long execute(Context& context, const Op& op) {
  switch (op.code) {
    case OpCode::kCall: return op_call(context, op);
    case OpCode::kWriteFile: return op_write_file(context, op);
    case OpCode::kSync: return op_sync(context, op);
    case OpCode::kJoin: return op_join(context, op);
    case OpCode::kFork: return op_fork(context, op);
    case OpCode::kNewMount: return op_new_mount(context, op);
    case OpCode::kAttach: return op_attach(context, op);
    case OpCode::kSetAttr: return op_set_attr(context, op);
    case OpCode::kMknod: return op_mknod(context, op);
    case OpCode::kSymlink: return op_symlink(context, op);
    case OpCode::kMask: return op_mask(context, op);
    case OpCode::kReadonly: return op_readonly(context, op);
    case OpCode::kPivot: return op_pivot(context, op);
    case OpCode::kConsole: return op_console(context, op);
    case OpCode::kStdio: return op_stdio(context, op);
    case OpCode::kNullStdio: return op_null_stdio(context, op);
    case OpCode::kOwnStdio: return op_own_stdio(context, op);
    case OpCode::kChdir: return op_chdir(context, op);
    case OpCode::kLookup: return op_lookup(context, op);
    case OpCode::kCloseFds: return op_close_fds(context, op);
    case OpCode::kSeccomp: return op_seccomp(context, op);
    case OpCode::kReady: return op_ready(context);
    case OpCode::kGate: return op_gate(context, op);
    case OpCode::kHook: return op_hook(context, op);
    case OpCode::kExec: return op_exec(context, op);
  }
  return -ENOSYS;
}

bool tolerated(const Op& op, long result) {
  for (const int error : op.tolerated) {
    if (error != 0 && result == -error) return true;
  }
  return false;
}

// After create() has returned nobody reads reports: one bare line on standard error, as runc prints it. `text` is the
// operand in front ("exec /x: "), `list` of the plan's last operation holds no message table: the cause is a short word.
void print_failure(const Op& op, long result) {
  const char* cause = "failed";
  if (result == -ENOENT) cause = "no such file or directory";
  if (result == -EACCES || result == -EPERM) cause = "permission denied";
  if (result == -ENOEXEC) cause = "exec format error";
  if (result == -E2BIG) cause = "argument list too long";
  if (result == -ENOMEM) cause = "cannot allocate memory";
  if (result == -EISDIR) cause = "is a directory";
  if (result == -ETXTBSY) cause = "text file busy";
  if (result == -ELOOP) cause = "too many levels of symbolic links";
  if (op.text != nullptr) call(SYS_write, 2, op.text, length(op.text));
  call(SYS_write, 2, cause, length(cause));
  call(SYS_write, 2, "\n", 1UL);
}

}  // namespace

long send_report(const Context& context, ReportKind kind, int value, int passed_fd) {
  Report report{kind, 0, 0, value, 0};
  iovec data{&report, sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (passed_fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    auto* header = reinterpret_cast<cmsghdr*>(control);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    *reinterpret_cast<int*>(CMSG_DATA(header)) = passed_fd;
  }
  return call(SYS_sendmsg, context.plan->sync, &message, MSG_NOSIGNAL);
}

long wait_go(const Context& context) {
  char answer = 0;
  long got = -EINTR;
  while (got == -EINTR) got = call(SYS_read, context.plan->sync, &answer, 1UL);
  if (got < 0) return got;
  return got == 1 ? 0 : -EPIPE;
}

void run(const Plan& plan) {
  Context context;
  context.plan = &plan;
  context.detail = kPlain;
  context.chosen = nullptr;
  context.empty_tmpfs = -1;
  for (int& slot : context.slots) slot = -1;
  for (uint32_t i = 0; i < plan.count; ++i) {
    const Op& op = plan.ops[i];
    context.detail = kPlain;
    const long result = execute(context, op);
    if (result >= 0 || (context.detail == kPlain && tolerated(op, result))) continue;
    if ((op.flags & kToStderr) != 0) print_failure(op, result);
    const Report report{ReportKind::kFailed, static_cast<int32_t>(i), static_cast<int32_t>(-result), 0, context.detail};
    call(SYS_write, plan.sync, &report, sizeof report);
    ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace berth::child
