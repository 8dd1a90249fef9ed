// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/container.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "runtime/sys/socket.h"

namespace berth::shim {
namespace {

constexpr std::chrono::milliseconds kKillPatience{10'000};
// How long output of processes that outlive the container's first is still taken.
constexpr std::chrono::milliseconds kLinger{500};

// The shim's protection from the oom killer must not become the container's. (A raised value cannot be lowered without
// CAP_SYS_RESOURCE, and is left.)
bool own_oom_score_is_lowered() {
  const auto value = sys::read_file("/proc/self/oom_score_adj", 64);
  return value && value->starts_with('-');
}

}  // namespace

// Both ends of the container's streams while it is made.
struct Container::Pipes {
  Fd in_read, in_write, out_read, out_write, err_read, err_write;
};

Container::Container(Loop& loop, std::string pod_dir, ContainerSettings settings, Observer observer)
    : loop_(loop),
      pod_dir_(std::move(pod_dir)),
      root_(concat(pod_dir_, "/oci")),
      settings_(std::move(settings)),
      observer_(std::move(observer)),
      oom_(loop) {}

Container::~Container() {
  loop_.cancel(linger_timer_);
  if (pidfd_) loop_.remove(pidfd_.get());
  for (auto& [key, exec] : execs_) {
    loop_.cancel(exec.timer);
    if (exec.pidfd) loop_.remove(exec.pidfd.get());
  }
}

Result<std::unique_ptr<Container>> Container::create(Loop& loop, const std::string& pod_dir, ContainerSettings settings,
                                                     Observer observer) {
  std::unique_ptr<Container> made(new Container(loop, pod_dir, std::move(settings), std::move(observer)));
  TRY_ASSIGN(auto spec, made->read_spec());
  if (!made->settings_.log_path.empty()) TRY(made->log_.open(made->settings_.log_path));
  TRY(made->make_process(std::move(spec)));
  return made;
}

Result<oci::Spec> Container::read_spec() {
  TRY_ASSIGN(const auto text, sys::read_file(concat(settings_.bundle, "/config.json")));
  TRY_ASSIGN(auto spec, oci::parse_spec(text));
  if (!spec.process) return fail(Code::kInvalidArgument, "config.json has no process");
  spec.process->terminal = settings_.terminal;
  if (!spec.process->oom_score_adj && own_oom_score_is_lowered()) spec.process->oom_score_adj = 0;
  oom_score_adj_ = spec.process->oom_score_adj;
  const auto* pid_namespace = spec.linux_.find_namespace("pid");
  private_pid_namespace_ = pid_namespace != nullptr && pid_namespace->path.empty();
  if (!settings_.rootfs_path.empty()) {
    if (!spec.root) spec.root.emplace();
    spec.root->path = settings_.rootfs_path;
  }
  return spec;
}

Result<> Container::make_streams(Pipes& pipes, const oci::Spec& spec) {
  if (settings_.terminal) return {};
  TRY_ASSIGN(auto out, sys::make_pipe());
  TRY_ASSIGN(auto err, sys::make_pipe());
  pipes.out_read = std::move(out.first);
  pipes.out_write = std::move(out.second);
  pipes.err_read = std::move(err.first);
  pipes.err_write = std::move(err.second);
  if (settings_.open_stdin) {
    TRY_ASSIGN(auto in, sys::make_pipe());
    pipes.in_read = std::move(in.first);
    pipes.in_write = std::move(in.second);
  } else {
    TRY_ASSIGN(pipes.in_read, sys::open_path("/dev/null", O_RDONLY));
  }
  // The process may open /dev/stdout anew, whoever it is. With a user namespace the runtime does it for the mapped id.
  if (spec.linux_.uid_mappings.empty()) {
    for (const int fd : {pipes.in_read.get(), pipes.out_write.get(), pipes.err_write.get()}) {
      if (fd == pipes.in_read.get() && !settings_.open_stdin) continue;
      [[maybe_unused]] const int owned = ::fchown(fd, spec.process->user.uid, spec.process->user.gid);
    }
  }
  return {};
}

Result<> Container::adopt_streams(Pipes& pipes, Fd console) {
  CriLog* log = settings_.log_path.empty() ? nullptr : &log_;
  if (settings_.terminal) {
    terminal_ = std::move(console);
    if (!terminal_) return fail(Code::kInternal, "no terminal was made");
    Fd reader(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3));
    Fd writer(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3));
    if (!reader || !writer) return fail_errno("duplicate terminal");
    stdout_ = std::make_unique<Output>(loop_, std::move(reader), Stream::kStdout, log);
    TRY(stdout_->open());
    if (settings_.open_stdin) stdin_ = std::make_unique<Input>(loop_, std::move(writer), settings_.stdin_once);
    return {};
  }
  stdout_ = std::make_unique<Output>(loop_, std::move(pipes.out_read), Stream::kStdout, log);
  stderr_ = std::make_unique<Output>(loop_, std::move(pipes.err_read), Stream::kStderr, log);
  TRY(stdout_->open());
  TRY(stderr_->open());
  if (pipes.in_write) {
    ::fcntl(pipes.in_write.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
    stdin_ = std::make_unique<Input>(loop_, std::move(pipes.in_write), settings_.stdin_once);
  }
  return {};
}

Result<> Container::make_process(oci::Spec spec) {
  Pipes pipes;
  TRY(make_streams(pipes, spec));
  container::CreateRequest request;
  if (!settings_.layers.lower.empty()) {
    TRY_ASSIGN(request.rootfs_mount, make_overlay(settings_.layers, concat(pod_dir_, "/overlay")));
    if (!spec.root) spec.root.emplace();
    if (spec.root->path.empty()) spec.root->path = "rootfs";
  }
  request.root = root_;
  request.id = settings_.id;
  request.bundle = settings_.bundle;
  request.spec = std::move(spec);
  request.cgroup_driver = settings_.driver;
  request.stdio = {pipes.in_read.get(), pipes.out_write.get(), pipes.err_write.get()};
  TRY_ASSIGN(auto created, container::create(std::move(request)));
  pid_ = created.pid;
  pidfd_ = std::move(created.pidfd);
  if (const auto state = container::state(root_, settings_.id)) {
    start_time_ = state->pid_start_time;
    cgroups_ = state->cgroups;
  }
  auto adopted = adopt_streams(pipes, std::move(created.console));
  if (adopted) adopted = loop_.add(pidfd_.get(), EPOLLIN, [this](uint32_t) { on_init_ready(); });
  if (!adopted) {
    [[maybe_unused]] const auto removed = container::remove(root_, settings_.id, true);
    return adopted;
  }
  oom_.open(cgroups_, [this] {
    if (observer_.on_oom) observer_.on_oom();
  });
  return {};
}

Result<> Container::start() {
  if (exit_) return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), " has ended"));
  const long long now = realtime_nanos();
  if (auto started = container::start(root_, settings_.id); !started) {
    if (started.error().code() != Code::kFailedPrecondition) start_error_ = started.error().message();
    return started;
  }
  started_at_ = now;
  return {};
}

Result<> Container::kill(int signal, bool all) {
  if (exit_ && !all) return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), " has ended"));
  return container::kill(root_, settings_.id, signal, all);
}

Result<> Container::remove(bool force) {
  if (!exit_ && !force && status() != "stopped") {
    return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), " is not stopped"));
  }
  if (!exit_) {
    // Ended and recorded before its cgroup goes, where the oom counter is.
    [[maybe_unused]] const auto killed = container::kill(root_, settings_.id, SIGKILL, true);
    [[maybe_unused]] const auto sent = sys::send_signal(pidfd_, SIGKILL);
    TRY(wait_ended());
    on_init_ready();
  }
  return container::remove(root_, settings_.id, true);
}

// A pid namespace's init ends only when every process in it has been reaped, and those exec'd are this process's to
// reap.
Result<> Container::wait_ended() {
  const long long until = monotonic_nanos() + kKillPatience.count() * 1'000'000LL;
  while (true) {
    std::vector<pollfd> entries{{pidfd_.get(), POLLIN, 0}};
    std::vector<uint64_t> keys;
    for (const auto& [key, exec] : execs_) {
      entries.push_back({exec.pidfd.get(), POLLIN, 0});
      keys.push_back(key);
    }
    const long long left = (until - monotonic_nanos()) / 1'000'000;
    if (left <= 0) return fail(Code::kDeadlineExceeded, concat("kill ", quote(settings_.id), ": did not end in time"));
    if (::poll(entries.data(), entries.size(), static_cast<int>(left)) < 0 && errno != EINTR) return fail_errno("poll");
    for (size_t i = 0; i < keys.size(); ++i) {
      if (entries[i + 1].revents != 0) on_exec_ready(keys[i]);
    }
    if (entries[0].revents != 0) return {};
  }
}

Result<> Container::update(std::string_view resources) {
  TRY_ASSIGN(const auto parsed, oci::parse_resources(resources));
  return container::update(root_, settings_.id, parsed);
}

Result<> Container::attach(const AttachSettings& settings, std::vector<Fd> fds) {
  if (fds.size() != static_cast<size_t>(settings.in) + settings.out + settings.err) {
    return fail(Code::kInvalidArgument, "attach: one descriptor for each stream is needed");
  }
  if (exit_) return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), " has ended"));
  if (settings.in && !stdin_)
    return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), " has no standard input"));
  size_t next = 0;
  if (settings.in) stdin_->attach(std::move(fds[next++]));
  for (auto* output : {settings.out ? stdout_.get() : nullptr, settings.err ? stderr_.get() : nullptr}) {
    if (output == nullptr) continue;  // a terminal has no separate stderr: that descriptor closes at once
    output->attach(
        std::make_shared<Sink>(loop_, nonblocking_copy(std::move(fds[next++]), O_WRONLY), settings.lossless));
  }
  return {};
}

Result<> Container::resize(const std::string& exec_id, uint16_t width, uint16_t height) {
  const Fd* terminal = &terminal_;
  if (!exec_id.empty()) {
    const auto exec = exec_ids_.find(exec_id);
    if (exec == exec_ids_.end()) return fail(Code::kNotFound, concat("exec ", quote(exec_id), " does not run"));
    terminal = &execs_[exec->second].terminal;
  }
  if (!terminal->valid())
    return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), ": process has no terminal"));
  winsize size{};
  size.ws_col = width;
  size.ws_row = height;
  if (::ioctl(terminal->get(), TIOCSWINSZ, &size) != 0) return fail_errno("resize terminal");
  return {};
}

Result<> Container::reopen_log() {
  if (exit_) return fail(Code::kFailedPrecondition, concat("container ", quote(settings_.id), " is not running"));
  return log_.reopen();
}

std::string Container::status() const {
  if (exit_) return "stopped";
  const auto state = container::state(root_, settings_.id);
  return std::string(container::status_name(state ? state->status : container::Status::kStopped));
}

void Container::add_pids(std::set<pid_t>& pids) const {
  if (!exit_) pids.insert(pid_);
  for (const auto& [key, exec] : execs_) pids.insert(exec.pid);
}

void Container::on_init_ready() {
  const auto status = sys::wait_child(pidfd_, false);
  if (status && !*status) return;
  loop_.remove(pidfd_.get());
  record_exit(status ? **status : sys::ExitStatus{});
}

void Container::record_exit(const sys::ExitStatus& status) {
  if (exit_) return;
  // Without a pid namespace of its own the others live on; a container is over with its first process.
  if (!private_pid_namespace_) [[maybe_unused]]
    const auto killed = container::kill(root_, settings_.id, SIGKILL, true);
  ExitRecord record;
  record.code = status.code;
  record.signal = status.signal;
  record.oom = oom_.count() > 0 && (status.signal == SIGKILL || status.code == 128 + SIGKILL);
  record.started_at = started_at_;
  record.finished_at = realtime_nanos();
  if (!start_error_.empty()) {
    record.reason = "StartError";
    record.message = start_error_;
  }
  for (auto* output : {stdout_.get(), stderr_.get()}) {
    if (output != nullptr) output->drain();
  }
  if (stdin_) stdin_->close();
  linger_timer_ = loop_.after(kLinger, [this] {
    if (stdout_) stdout_->finish();
    if (stderr_) stderr_->finish();
  });
  exit_ = record;
  const std::string dir = concat(pod_dir_, "/containers/", settings_.id);
  auto written = sys::make_directories(dir, 0700);
  if (written) written = sys::replace_file(concat(dir, "/exit.json"), to_json(record), 0600, true);
  if (!written)
    log_error("exit record not written", {{"container", settings_.id}, {"error", written.error().message()}});
  log_info("container ended",
           {{"container", settings_.id}, {"code", record.code}, {"oom", record.oom ? "true" : "false"}});
  if (log_.dropped_lines() != 0)
    log_warn("container log lost lines", {{"container", settings_.id}, {"lines", log_.dropped_lines()}});
  observer_.on_exit(record);
}

}  // namespace berth::shim
