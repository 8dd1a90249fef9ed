// SPDX-License-Identifier: Apache-2.0
// Processes exec'd in a container.
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/oci/spec_json.h"
#include "runtime/shim/container.h"
#include "runtime/shim/process_tree.h"
#include "runtime/sys/process.h"

namespace berth::shim {

Result<Container::Started> Container::exec(const ExecSettings& settings, std::vector<Fd> fds, OnExit on_exit) {
  if (exit_) return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), " has ended"));
  if (exec_ids_.contains(settings.exec_id))
    return fail(Code::kAlreadyExists, concat("exec ", quote(settings.exec_id), " exists"));
  if (settings.terminal ? !fds.empty() : fds.size() != 3)
    return fail(Code::kInvalidArgument, "exec: wrong number of descriptors");
  TRY_ASSIGN(auto process, oci::parse_process(settings.process));
  process.terminal = settings.terminal;
  if (!process.oom_score_adj) process.oom_score_adj = oom_score_adj_;
  container::ExecRequest request;
  request.root = root_;
  request.id = settings_.id;
  request.process = std::move(process);
  if (!settings.terminal) request.stdio = {fds[0].get(), fds[1].get(), fds[2].get()};
  TRY_ASSIGN(auto created, container::exec(std::move(request)));

  const uint64_t key = ++last_exec_;
  Exec exec;
  exec.pid = created.pid;
  exec.pidfd = std::move(created.pidfd);
  exec.started_at = realtime_nanos();
  exec.on_exit = std::move(on_exit);
  Started started;
  started.pid = exec.pid;
  if (settings.terminal) {
    exec.terminal = Fd(::fcntl(created.console.get(), F_DUPFD_CLOEXEC, 3));
    started.terminal = std::move(created.console);
  }
  if (auto watched = loop_.add(exec.pidfd.get(), EPOLLIN, [this, key](uint32_t) { on_exec_ready(key); }); !watched) {
    const sys::ChildGuard killed(std::move(exec.pidfd));
    return std::unexpected(std::move(watched).error());
  }
  if (settings.timeout.count() > 0) exec.timer = loop_.after(settings.timeout, [this, key] { on_exec_timeout(key); });
  exec_ids_[settings.exec_id] = key;
  execs_[key] = std::move(exec);
  return started;
}

void Container::on_exec_ready(uint64_t key) {
  const auto found = execs_.find(key);
  if (found == execs_.end()) return;
  const auto status = sys::wait_child(found->second.pidfd, false);
  if (status && !*status) return;
  Exec exec = std::move(found->second);
  execs_.erase(found);
  std::erase_if(exec_ids_, [key](const auto& entry) { return entry.second == key; });
  loop_.cancel(exec.timer);
  loop_.remove(exec.pidfd.get());
  ExitRecord record;
  if (status) {
    record.code = (*status)->code;
    record.signal = (*status)->signal;
  }
  record.timed_out = exec.timed_out;
  record.started_at = exec.started_at;
  record.finished_at = realtime_nanos();
  oom_.count();
  exec.on_exit(record);
}

void Container::on_exec_timeout(uint64_t key) {
  const auto found = execs_.find(key);
  if (found == execs_.end()) return;
  found->second.timed_out = true;
  kill_tree(found->second.pid);
}

}  // namespace berth::shim
