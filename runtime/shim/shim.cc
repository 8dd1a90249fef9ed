// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/shim.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/shim/json_fields.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"

namespace berth::shim {
namespace {

int child_event = -1;  // the handler's only way to the loop

void on_child(int) {
  const int saved = errno;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = ::write(child_event, &one, sizeof one);
  errno = saved;
}

void on_ignored(int) {}

// Handlers instead of SIG_IGN, which execve would hand on to the containers, and instead of blocked signals.
void set_signals() {
  struct sigaction action{};
  action.sa_flags = SA_RESTART;
  action.sa_handler = on_ignored;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2})
    ::sigaction(signal, &action, nullptr);
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  action.sa_handler = on_child;
  ::sigaction(SIGCHLD, &action, nullptr);
}

}  // namespace

Shim::Shim(std::string dir)
    : dir_(std::move(dir)),
      server_(
          loop_,
          [this](ConnectionId id, Object request, std::vector<Fd> fds) {
            on_request(id, std::move(request), std::move(fds));
          },
          [this](ConnectionId id) { on_gone(id); }) {}

Result<> Shim::open() {
  auto ready = set_up();
  if (!ready) {
    [[maybe_unused]] const auto unmounted = unmount_shm(dir_);
    if (init_.pidfd) [[maybe_unused]]
      const auto killed = sys::send_signal(init_.pidfd, SIGKILL);
    ::unlink(concat(dir_, "/shim.sock").c_str());
  }
  return ready;
}

Result<> Shim::set_up() {
  TRY_ASSIGN(const auto text, sys::read_file(concat(dir_, "/pod.json")));
  TRY_ASSIGN(settings_, pod_settings_from_json(text));
  TRY(enter_namespaces(settings_));
  TRY(mount_shm(settings_, dir_));
  TRY_ASSIGN(init_, start_pod_init(settings_));
  TRY(loop_.open());
  child_event_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!child_event_) return fail_errno("eventfd");
  child_event = child_event_.get();
  set_signals();
  TRY(loop_.add(child_event_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t times = 0;
    [[maybe_unused]] const ssize_t got = ::read(child_event_.get(), &times, sizeof times);
    reap_orphans();
  }));
  TRY(server_.open(concat(dir_, "/shim.sock")));
  TRY_ASSIGN(const auto start_time, sys::process_start_time(::getpid()));
  Object record;
  record["pid"] = ::getpid();
  record["start_time"] = start_time;
  if (init_.pid != 0) record["pid_namespace_pid"] = init_.pid;
  return sys::replace_file(concat(dir_, "/shim.json"), boost::json::serialize(record), 0600, false);
}

void Shim::run() { loop_.run(); }

// Processes that lost their parent come to the subreaper. The known ones have a pidfd in the loop, whose handler reaps
// them: the search ends at the first of these and is taken up again at the next signal.
void Shim::reap_orphans() {
  std::set<pid_t> known;
  for (const auto& [id, container] : containers_) container->add_pids(known);
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (known.contains(info.si_pid)) {
      loop_.after(std::chrono::milliseconds(10), [this] { reap_orphans(); });
      return;
    }
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
    if (info.si_pid != init_.pid) continue;
    log_error("the pod's init has ended", {{"pid", init_.pid}});
    init_ = PodInit();
  }
}

Shim::Op Shim::find_op(std::string_view name) {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"hello", &Shim::hello},   {"create", &Shim::create},         {"start", &Shim::start},
      {"kill", &Shim::kill},     {"delete", &Shim::remove},         {"state", &Shim::state},
      {"exec", &Shim::exec},     {"resize", &Shim::resize},         {"attach", &Shim::attach},
      {"wait", &Shim::wait},     {"reopen_log", &Shim::reopen_log}, {"dial", &Shim::dial},
      {"update", &Shim::update}, {"watch", &Shim::watch},           {"stop", &Shim::stop},
  };
  for (const auto& [known, op] : kOps) {
    if (known == name) return op;
  }
  return nullptr;
}

void Shim::on_request(ConnectionId connection, Object request, std::vector<Fd> fds) {
  const std::string name = text_field(request, "op");
  const Op op = find_op(name);
  if (op == nullptr)
    return server_.reply(connection, Error(Code::kUnimplemented, concat("operation ", quote(name), " is not known")));
  if (auto done = (this->*op)(connection, request, std::move(fds)); !done) {
    log_debug("request failed", {{"op", name}, {"error", done.error().message()}});
    server_.reply(connection, std::move(done).error().wrap(concat(name, " ", quote(text_field(request, "id")))));
  }
  // A parsed config.json would otherwise stay in the heap of a process that lives as long as the pod.
  if (name == "create" || name == "delete") ::malloc_trim(0);
}

void Shim::on_gone(ConnectionId connection) {
  watchers_.erase(connection);
  for (auto& [id, connections] : waiters_) connections.erase(connection);
}

void Shim::broadcast(const Object& event) {
  for (const ConnectionId watcher : watchers_) server_.send(watcher, event);
}

void Shim::on_exit(const std::string& id, const ExitRecord& record) {
  boost::json::error_code error;
  Object message;
  message["exit"] = boost::json::parse(to_json(record), error);
  for (const ConnectionId waiter : std::exchange(waiters_[id], {})) server_.send(waiter, message);
  waiters_.erase(id);
  message["event"] = "exit";
  message["id"] = id;
  broadcast(message);
}

Result<Container*> Shim::find(const Object& request) {
  const auto id = text_field(request, "id");
  const auto found = containers_.find(id);
  if (found == containers_.end()) return fail(Code::kNotFound, "container does not exist");
  return found->second.get();
}

}  // namespace berth::shim
