// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "agent/pods/engine_impl.h"
#include "agent/pods/user.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

constexpr size_t kOutputLimit = 16u << 20;          // of each stream; the rest is read and dropped (CVE-2022-1708)
constexpr int kDrainMilliseconds = 1000;            // after the exit, for a child that keeps the pipes open
constexpr std::chrono::milliseconds kSlack{10000};  // the shim enforces the timeout; this is for a shim that cannot

class ShimExecSession final : public ExecSession {
 public:
  // `stop`: an eventfd, which cancel_wait makes readable.
  ShimExecSession(shims::ShimClient shim, shims::ShimSession session, Fd stop, std::string id, std::string exec_id)
      : shim_(std::move(shim)),
        session_(std::move(session)),
        stop_(std::move(stop)),
        id_(std::move(id)),
        exec_id_(std::move(exec_id)) {
    streams_.stdin_writer = std::move(session_.stdin_writer);
    streams_.stdout_reader = std::move(session_.stdout_reader);
    streams_.stderr_reader = std::move(session_.stderr_reader);
    streams_.terminal = std::move(session_.terminal);
  }
  Streams& streams() override { return streams_; }
  Result<> resize(unsigned width, unsigned height) override { return shim_.resize(id_, exec_id_, width, height); }
  Result<shim::ExitRecord> wait() override { return session_.wait({}, stop_.get()); }
  void cancel_wait() override {
    const uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
  }

 private:
  shims::ShimClient shim_;
  shims::ShimSession session_;
  Fd stop_;
  std::string id_;
  std::string exec_id_;
  Streams streams_;
};

Result<Fd> make_event() {
  Fd event(::eventfd(0, EFD_CLOEXEC));
  if (!event) return fail_errno("eventfd");
  return event;
}

// One stream of an ExecSync: what fits is kept.
struct Capture {
  Fd fd;
  std::string data;

  void read_some() {
    char buffer[65536];
    const ssize_t length = ::read(fd.get(), buffer, sizeof buffer);
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (length <= 0) return fd.reset();
    data.append(buffer, std::min(size_t(length), kOutputLimit - data.size()));
  }
};

// Reads both streams until they end, or until a short while after `exited` became readable.
void capture_output(Capture& out, Capture& err, const Fd& exited) {
  long long drain_until = 0;
  while (out.fd || err.fd) {
    struct pollfd polled[3] = {
        {out.fd.get(), POLLIN, 0}, {err.fd.get(), POLLIN, 0}, {drain_until != 0 ? -1 : exited.get(), POLLIN, 0}};
    int timeout = -1;
    if (drain_until != 0) {
      timeout = int(std::max<long long>(0, (drain_until - monotonic_nanos()) / 1000000));
      if (timeout == 0) return;
    }
    if (::poll(polled, 3, timeout) < 0 && errno != EINTR) return;
    if (polled[0].revents != 0) out.read_some();
    if (polled[1].revents != 0) err.read_some();
    if (polled[2].revents != 0) drain_until = monotonic_nanos() + kDrainMilliseconds * 1000000LL;
  }
}

void replace_variable(std::vector<std::string>& environment, const std::string& entry) {
  const std::string key = entry.substr(0, entry.find('=') + 1);
  std::erase_if(environment, [&](const std::string& existing) { return existing.starts_with(key); });
  environment.push_back(entry);
}

}  // namespace

Result<ContainerPtr> EngineImpl::running_container(const std::string& id) {
  TRY_ASSIGN(ContainerPtr container, container_of(id));
  if (container->record.state != state::ContainerState::kRunning) {
    return fail(Code::kFailedPrecondition, concat("container ", quote(container->record.id), " is not running"));
  }
  return container;
}

Result<oci::Process> EngineImpl::exec_process(const ContainerPtr& container, const ExecOptions& options) {
  if (options.command.empty()) return fail(Code::kInvalidArgument, "exec: no command");
  const std::string bundle = bundle_directory(container->record.pod_id, container->record.id);
  TRY_ASSIGN(const std::string text, sys::read_file(bundle + "/config.json"));
  TRY_ASSIGN(oci::Spec spec, oci::parse_spec(text));
  if (!spec.process) return fail(Code::kInternal, "the container's spec has no process");
  oci::Process process = std::move(*spec.process);
  process.args = options.command;
  process.terminal = options.terminal;
  process.console_size.reset();
  if (options.terminal) replace_variable(process.env, "TERM=xterm");
  for (const std::string& entry : options.env) replace_variable(process.env, entry);
  if (options.working_dir) process.cwd = *options.working_dir;
  if (options.user) {
    TRY_ASSIGN(const rootfs::OverlayDirs layers,
               images_->prepare_snapshot(container->record.id, container->record.image_id));
    std::vector<std::string> directories{layers.upper};
    directories.insert(directories.end(), layers.lower.begin(), layers.lower.end());
    TRY_ASSIGN(const std::string passwd, read_image_file(directories, "etc/passwd"));
    TRY_ASSIGN(const std::string group, read_image_file(directories, "etc/group"));
    UserRequest request;
    request.image_user = *options.user;
    TRY_ASSIGN(process.user, resolve_user(request, passwd, group));
  }
  return process;
}

Result<v1::ExecSyncResponse> EngineImpl::exec_sync(const v1::ExecSyncRequest& request) {
  if (request.cmd().empty()) return fail(Code::kInvalidArgument, "exec: no command");
  if (request.timeout() < 0) return fail(Code::kInvalidArgument, "exec: the timeout is negative");
  TRY_ASSIGN(const ContainerPtr container, running_container(request.container_id()));
  TRY_ASSIGN(const shims::ShimClient shim, shim_of(container->record.pod_id));
  ExecOptions options;
  options.command.assign(request.cmd().begin(), request.cmd().end());
  shims::ExecCall call;
  call.id = container->record.id;
  call.exec_id = random_hex(16);
  TRY_ASSIGN(call.process, exec_process(container, options));
  constexpr int64_t kLongest = 1'000'000'000;
  call.timeout = std::chrono::seconds(std::min(request.timeout(), kLongest));
  TRY_ASSIGN(const Fd exited, make_event());
  TRY_ASSIGN(shims::ShimSession session, shim.exec(call), concat("exec in container ", quote(call.id)));
  Capture out{std::move(session.stdout_reader), {}};
  Capture err{std::move(session.stderr_reader), {}};
  std::optional<Result<shim::ExitRecord>> exit;
  std::thread waiter([&] {
    exit.emplace(session.wait(call.timeout.count() == 0 ? std::nullopt : std::optional(call.timeout + kSlack)));
    const uint64_t one = 1;
    (void)!::write(exited.get(), &one, sizeof one);
  });
  capture_output(out, err, exited);
  waiter.join();
  if (!*exit) return std::unexpected(exit->error());
  if ((*exit)->timed_out) {
    return fail(Code::kDeadlineExceeded,
                concat("command ", quote(join(options.command, " ")), " timed out after ", request.timeout(), "s"));
  }
  v1::ExecSyncResponse response;
  response.set_stdout(std::move(out.data));
  response.set_stderr(std::move(err.data));
  response.set_exit_code((*exit)->code);
  return response;
}

Result<std::unique_ptr<ExecSession>> EngineImpl::exec(const std::string& id, const ExecOptions& options) {
  TRY_ASSIGN(const ContainerPtr container, running_container(id));
  TRY_ASSIGN(shims::ShimClient shim, shim_of(container->record.pod_id));
  shims::ExecCall call;
  call.id = container->record.id;
  call.exec_id = random_hex(16);
  TRY_ASSIGN(call.process, exec_process(container, options));
  call.terminal = options.terminal;
  call.streams.open_stdin = options.open_stdin;
  call.streams.open_stdout = options.open_stdout;
  call.streams.open_stderr = options.open_stderr;
  TRY_ASSIGN(Fd stop, make_event());
  TRY_ASSIGN(shims::ShimSession session, shim.exec(call), concat("exec in container ", quote(call.id)));
  return std::make_unique<ShimExecSession>(std::move(shim), std::move(session), std::move(stop), call.id, call.exec_id);
}

Result<std::unique_ptr<ExecSession>> EngineImpl::attach(const std::string& id, const AttachOptions& options) {
  TRY_ASSIGN(const ContainerPtr container, container_of(id));
  using enum state::ContainerState;
  // `berth run` attaches before it starts, so that no output is missed; CRI's attach is for running ones.
  if (container->record.state != kRunning && (live_ || container->record.state != kCreated)) {
    return fail(Code::kFailedPrecondition, concat("container ", quote(container->record.id), " is not running"));
  }
  TRY_ASSIGN(shims::ShimClient shim, shim_of(container->record.pod_id));
  shims::StreamOptions streams;
  streams.open_stdin = options.open_stdin && container->config->stdin();
  streams.open_stdout = options.open_stdout;
  streams.open_stderr = options.open_stderr && !container->config->tty();
  TRY_ASSIGN(Fd stop, make_event());
  TRY_ASSIGN(shims::ShimSession session, shim.attach(container->record.id, streams, !live_),
             concat("attach to container ", quote(container->record.id)));
  return std::make_unique<ShimExecSession>(std::move(shim), std::move(session), std::move(stop),
                                           container->record.id, "");
}

Result<Fd> EngineImpl::dial(const std::string& pod_id, uint16_t port) {
  TRY_ASSIGN(const PodPtr pod, pod_of(pod_id));
  if (pod->record.state != state::PodState::kReady) {
    return fail(Code::kFailedPrecondition, concat("pod sandbox ", quote(pod->record.id), " is not ready"));
  }
  TRY_ASSIGN(const shims::ShimClient shim, shim_of(pod->record.id));
  return shim.dial(port);
}

}  // namespace berth::pods
