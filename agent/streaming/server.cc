// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "agent/streaming/http.h"
#include "agent/streaming/link.h"
#include "agent/streaming/session.h"
#include "agent/streaming/tokens.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

constexpr size_t kMaxSessions = 256;
// Connections whose request has not arrived; the oldest goes when another comes, so none can hold the door.
constexpr size_t kMaxPending = 512;
constexpr long long kHeadNanos = 10'000'000'000;

std::unexpected<Error> invalid(std::string text) { return fail(Code::kInvalidArgument, std::move(text)); }

Result<> require_streams(const ExecTarget& target) {
  if (target.container_id.empty()) return invalid("container id is missing");
  if (target.terminal && target.open_stderr) return invalid("tty and stderr cannot both be true");
  if (!target.open_stdin && !target.open_stdout && !target.open_stderr)
    return invalid("one of stdin, stdout and stderr must be set");
  return {};
}

class StreamingServer final : public Server {
 public:
  explicit StreamingServer(pods::Engine& engine) : engine_(engine) {}

  ~StreamingServer() override {
    const uint64_t one = 1;
    // Never read: it stays readable for every thread that looks.
    [[maybe_unused]] const ssize_t n = ::write(stop_.get(), &one, sizeof one);
    if (thread_.joinable()) thread_.join();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return sessions_ == 0; });
  }

  Result<> start(const ServerConfig& config);

  Result<std::string> exec_url(const ExecTarget& target) override {
    TRY(require_streams(target));
    if (target.command.empty()) return invalid("command is missing");
    TRY(require_running(target.container_id));
    return url({Verb::kExec, target});
  }

  Result<std::string> attach_url(const ExecTarget& target) override {
    TRY(require_streams(target));
    TRY(require_running(target.container_id));
    return url({Verb::kAttach, target});
  }

  Result<std::string> port_forward_url(const std::string& pod_id) override {
    if (pod_id.empty()) return invalid("pod sandbox id is missing");
    TRY_ASSIGN(const auto status, engine_.pod_sandbox_status(pod_id, false));
    if (status.status().state() != pods::v1::SANDBOX_READY)
      return fail(Code::kFailedPrecondition, concat("pod sandbox ", quote(pod_id), " is not running"));
    ExecTarget target;
    target.container_id = status.status().id();
    return url({Verb::kPortForward, target});
  }

 private:
  struct Pending {
    Fd socket;
    std::string bytes;
    long long deadline = 0;
  };

  Result<> require_running(const std::string& id) {
    TRY_ASSIGN(const auto status, engine_.container_status(id, false));
    if (status.status().state() != pods::v1::CONTAINER_RUNNING)
      return fail(Code::kFailedPrecondition, concat("container ", quote(id), " is not running"));
    return {};
  }

  Result<std::string> url(Grant grant) {
    const std::string_view verb = verb_name(grant.verb);
    TRY_ASSIGN(const std::string token, tokens_.issue(std::move(grant)));
    return concat(base_url_, '/', verb, '/', token);
  }

  void accept_loop();
  // False when no more wait.
  bool accept_one();
  // True while more of the head is to come.
  bool read_head(Pending& pending);
  void dispatch(Fd socket, const std::string& bytes);
  bool spawn(Fd socket, Grant grant, Request request);
  static void answer(const Fd& socket, const std::string& text);

  pods::Engine& engine_;
  Tokens tokens_;
  std::string base_url_;
  Fd listener_;
  Fd stop_;
  std::thread thread_;
  std::list<Pending> pending_;  // oldest first; the accepting thread's own
  std::mutex mutex_;
  std::condition_variable ended_;
  size_t sessions_ = 0;
};

Result<> StreamingServer::start(const ServerConfig& config) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(config.port);
  if (::inet_pton(AF_INET, config.address.c_str(), &address.sin_addr) != 1)
    return invalid(concat("streaming address ", quote(config.address), ": not an IPv4 address"));
  if ((ntohl(address.sin_addr.s_addr) >> 24) != 127)
    return invalid(
        concat("streaming address ", quote(config.address), ": only loopback is offered, the endpoint has no TLS"));
  listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return fail_errno("socket");
  const int on = 1;
  ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  const std::string where = concat("listen on ", config.address, ':', config.port);
  if (::bind(listener_.get(), raw, size) != 0 || ::listen(listener_.get(), 1024) != 0) return fail_errno(where);
  if (::getsockname(listener_.get(), raw, &size) != 0) return fail_errno(where);
  base_url_ = concat("http://", config.address, ':', ntohs(address.sin_port));
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!stop_) return fail_errno("eventfd");
  try {
    thread_ = std::thread([this] { accept_loop(); });
  } catch (const std::system_error& e) {
    return fail_errno("start the streaming thread", e.code().value());
  }
  log_info("streaming: listening", {{"address", base_url_}});
  return {};
}

void StreamingServer::accept_loop() {
  ::pthread_setname_np(::pthread_self(), "stream-accept");
  std::vector<pollfd> polled;
  for (;;) {
    polled = {{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Pending& pending : pending_) polled.push_back({pending.socket.get(), POLLIN, 0});
    if (::poll(polled.data(), polled.size(), pending_.empty() ? -1 : 1000) < 0 && errno != EINTR) {
      log_error("streaming: accepting ended", {{"error", errno_text(errno)}});
      return;
    }
    if (polled[0].revents != 0) return;
    size_t i = 2;
    const long long now = monotonic_nanos();
    for (auto pending = pending_.begin(); pending != pending_.end(); ++i) {
      const bool keep = polled[i].revents == 0 ? now < pending->deadline : read_head(*pending);
      pending = keep ? std::next(pending) : pending_.erase(pending);
    }
    // Several at a time, so that a crowd in the backlog does not slow a request behind it.
    for (int k = 0; k < 64 && polled[1].revents != 0 && accept_one(); ++k) {
    }
  }
}

bool StreamingServer::accept_one() {
  Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno == EINTR || errno == ECONNABORTED) return true;
    if (errno == EAGAIN) return false;
    log_warn("streaming: accept failed", {{"error", errno_text(errno)}});
    if (!pending_.empty()) pending_.pop_front();
    pollfd stop{stop_.get(), POLLIN, 0};
    ::poll(&stop, 1, 100);
    return false;
  }
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (pending_.size() >= kMaxPending) pending_.pop_front();
  pending_.push_back({std::move(socket), {}, monotonic_nanos() + kHeadNanos});
  return true;
}

bool StreamingServer::read_head(Pending& pending) {
  const Io io = read_some(pending.socket.get(), pending.bytes);
  const size_t end = pending.bytes.find("\r\n\r\n");
  if (end != std::string::npos && end <= kMaxHeadBytes) {
    dispatch(std::move(pending.socket), pending.bytes);
    return false;
  }
  if (pending.bytes.size() > kMaxHeadBytes) {
    answer(pending.socket, error_response({431, "request head too large"}));
    return false;
  }
  return io != Io::kEnd;
}

void StreamingServer::dispatch(Fd socket, const std::string& bytes) {
  auto request = parse_request(bytes);
  if (!request) return answer(socket, error_response(request.error()));
  auto grant = tokens_.redeem(request->verb, request->token);
  request->token.clear();
  if (!grant) return answer(socket, error_response({404, "not found"}));
  const Fd spare(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  if (!spawn(std::move(socket), std::move(*grant), std::move(*request)))
    answer(spare, error_response({503, "too many sessions"}));
}

bool StreamingServer::spawn(Fd socket, Grant grant, Request request) {
  {
    const std::lock_guard lock(mutex_);
    if (sessions_ >= kMaxSessions) return false;
    ++sessions_;
  }
  try {
    std::thread([this, socket = std::move(socket), grant = std::move(grant), request = std::move(request)]() mutable {
      ::pthread_setname_np(::pthread_self(), "stream");
      // Pipes know no MSG_NOSIGNAL.
      sigset_t pipe;
      ::sigemptyset(&pipe);
      ::sigaddset(&pipe, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      run_session(engine_, std::move(socket), stop_.get(), grant, request);
      const std::lock_guard lock(mutex_);
      --sessions_;
      ended_.notify_all();
    }).detach();
  } catch (const std::system_error&) {
    const std::lock_guard lock(mutex_);
    --sessions_;
    return false;
  }
  return true;
}

// A short answer fits into an empty socket buffer; a client that does not take it loses nothing.
void StreamingServer::answer(const Fd& socket, const std::string& text) {
  ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
  ::shutdown(socket.get(), SHUT_WR);
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerConfig config, pods::Engine& engine) {
  auto server = std::make_unique<StreamingServer>(engine);
  TRY(server->start(config));
  return server;
}

}  // namespace berth::streaming
