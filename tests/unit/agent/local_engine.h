// SPDX-License-Identifier: Apache-2.0
// An engine whose only container is this machine: exec runs local processes through pipes or a pty, attach gives what a
// test has laid ready, dial connects to loopback. Everything else is unimplemented.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>

#include "agent/pods/engine.h"
#include "runtime/sys/process.h"
#include "runtime/sys/socket.h"

namespace berth::tests {

namespace v1 = ::runtime::v1;

class LocalSession : public pods::ExecSession {
 public:
  LocalSession(sys::Spawned child, pods::Streams streams, std::atomic<int>& alive)
      : child_(std::move(child)), streams_(std::move(streams)), cancel_(::eventfd(0, EFD_CLOEXEC)), alive_(alive) {
    ++alive_;
  }
  ~LocalSession() override {
    if (child_.pidfd) {
      (void)sys::send_signal(child_.pidfd, SIGKILL);
      (void)sys::wait_child(child_.pidfd, true);
    }
    --alive_;
  }
  pods::Streams& streams() override { return streams_; }
  Result<> resize(unsigned width, unsigned height) override {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(width);
    size.ws_row = static_cast<unsigned short>(height);
    if (::ioctl(streams_.terminal.get(), TIOCSWINSZ, &size) != 0) return fail_errno("resize");
    return {};
  }
  Result<shim::ExitRecord> wait() override {
    pollfd polled[] = {{child_.pidfd.get(), POLLIN, 0}, {cancel_.get(), POLLIN, 0}};
    while (::poll(polled, 2, -1) < 0) {
    }
    if (polled[0].revents == 0) return fail(Code::kCancelled, "cancelled");
    const auto status = sys::wait_child(child_.pidfd, true);
    if (!status) return std::unexpected(status.error());
    child_.pidfd.reset();
    shim::ExitRecord record;
    record.code = (*status)->code;
    return record;
  }
  void cancel_wait() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(cancel_.get(), &one, sizeof one);
  }

 private:
  sys::Spawned child_;
  pods::Streams streams_;
  Fd cancel_;
  std::atomic<int>& alive_;
};

class LocalEngine : public pods::Engine {
 public:
  std::atomic<int> sessions_alive = 0;
  std::atomic<int> execs = 0;
  // What the next attach hands out.
  pods::Streams attach_streams;

  Result<std::unique_ptr<pods::ExecSession>> exec(const std::string& id, const pods::ExecOptions& options) override {
    ++execs;
    if (id != "c1") return fail(Code::kNotFound, "no such container");
    if (options.command[0] == "missing") return fail(Code::kNotFound, "exec \"missing\": no such file or directory");
    sys::SpawnRequest request;
    request.argv = options.command;
    request.argv.insert(request.argv.begin(), "/usr/bin/env");
    pods::Streams streams;
    std::vector<Fd> theirs;
    if (options.terminal) {
      int master = -1, slave = -1;
      if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) return fail_errno("openpty");
      streams.terminal = Fd(master);
      ::fcntl(master, F_SETFD, FD_CLOEXEC);
      theirs.emplace_back(slave);
      ::fcntl(slave, F_SETFD, FD_CLOEXEC);
      request.argv.insert(request.argv.begin(), {"/usr/bin/setsid", "-c"});
      request.fds = {{slave, 0}, {slave, 1}, {slave, 2}};
    } else {
      const auto pipe = [&](bool wanted, int number, Fd& ours) {
        if (!wanted) return;
        auto ends = sys::make_pipe().value();
        ours = std::move(number == 0 ? ends.second : ends.first);
        theirs.push_back(std::move(number == 0 ? ends.first : ends.second));
        request.fds.emplace_back(theirs.back().get(), number);
      };
      pipe(options.open_stdin, 0, streams.stdin_writer);
      pipe(options.open_stdout, 1, streams.stdout_reader);
      pipe(options.open_stderr, 2, streams.stderr_reader);
    }
    TRY_ASSIGN(auto child, sys::spawn(request));
    return std::make_unique<LocalSession>(std::move(child), std::move(streams), sessions_alive);
  }

  Result<std::unique_ptr<pods::ExecSession>> attach(const std::string&, const pods::AttachOptions&) override {
    return std::make_unique<LocalSession>(sys::Spawned(), std::move(attach_streams), sessions_alive);
  }

  Result<Fd> dial(const std::string&, uint16_t port) override {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return fail_errno("dial");
    return socket;
  }

  Result<v1::ContainerStatusResponse> container_status(const std::string& id, bool) override {
    if (id != "c1" && id != "stopped") return fail(Code::kNotFound, "no such container");
    v1::ContainerStatusResponse response;
    response.mutable_status()->set_state(id == "c1" ? v1::CONTAINER_RUNNING : v1::CONTAINER_EXITED);
    return response;
  }
  Result<v1::PodSandboxStatusResponse> pod_sandbox_status(const std::string& id, bool) override {
    if (id != "p1") return fail(Code::kNotFound, "no such pod");
    v1::PodSandboxStatusResponse response;
    response.mutable_status()->set_id(id);
    return response;
  }

  Result<std::string> run_pod_sandbox(const v1::RunPodSandboxRequest&) override { return none(); }
  Result<> stop_pod_sandbox(const std::string&) override { return none(); }
  Result<> remove_pod_sandbox(const std::string&) override { return none(); }
  Result<v1::ListPodSandboxResponse> list_pod_sandbox(const v1::ListPodSandboxRequest&) override { return none(); }
  Result<std::string> create_container(const v1::CreateContainerRequest&) override { return none(); }
  Result<> start_container(const std::string&) override { return none(); }
  Result<> stop_container(const std::string&, std::chrono::seconds) override { return none(); }
  Result<> remove_container(const std::string&) override { return none(); }
  Result<v1::ListContainersResponse> list_containers(const v1::ListContainersRequest&) override { return none(); }
  Result<> update_container_resources(const v1::UpdateContainerResourcesRequest&) override { return none(); }
  Result<> reopen_container_log(const std::string&) override { return none(); }
  Result<> kill_container(const std::string&, int) override { return none(); }
  Result<shim::ExitRecord> wait_container(const std::string&) override { return none(); }
  Result<v1::ExecSyncResponse> exec_sync(const v1::ExecSyncRequest&) override { return none(); }
  Result<v1::ContainerStats> container_stats(const std::string&) override { return none(); }
  Result<v1::ListContainerStatsResponse> list_container_stats(const v1::ListContainerStatsRequest&) override {
    return none();
  }
  Result<v1::PodSandboxStats> pod_sandbox_stats(const std::string&) override { return none(); }
  Result<v1::ListPodSandboxStatsResponse> list_pod_sandbox_stats(const v1::ListPodSandboxStatsRequest&) override {
    return none();
  }
  Result<std::string> resolve_container(const std::string&) override { return none(); }
  std::string cgroup_driver() const override { return "cgroupfs"; }
  std::string network_problem() override { return {}; }
  void on_event(std::function<void(const pods::LifecycleEvent&)>) override {}

 private:
  static std::unexpected<Error> none() { return fail(Code::kUnimplemented, "not in this test"); }
};

}  // namespace berth::tests
