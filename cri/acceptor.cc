// SPDX-License-Identifier: Apache-2.0
#include "cri/acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/socket.h"

namespace berth::cri {
namespace {

constexpr std::string_view kScheme = "unix://";

Result<std::string> path_of(const std::string& address) {
  std::string path = address.starts_with(kScheme) ? address.substr(kScheme.size()) : address;
  if (path.size() < 2 || path[0] != '/') {
    return fail(Code::kInvalidArgument, concat("listen ", quote(address), ": not an absolute unix socket path"));
  }
  return path;
}

// A file in the way: gone and stale sockets are fine (listen_unix replaces them), a living server or another file is
// not.
Result<> require_free(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(concat("stat ", quote(path)));
  }
  if (!S_ISSOCK(info.st_mode))
    return fail(Code::kFailedPrecondition, concat("listen ", quote(path), ": exists and is no socket"));
  const auto peer = sys::connect_unix(path, SOCK_STREAM);
  if (peer) return fail(Code::kAlreadyExists, concat("listen ", quote(path), ": another server answers on it"));
  const int error = peer.error().sys_errno();
  if (error == ECONNREFUSED || error == ENOENT) return {};
  if (error == EAGAIN)
    return fail(Code::kAlreadyExists, concat("listen ", quote(path), ": another server holds it and is busy"));
  return fail_errno(concat("probe ", quote(path)), error);
}

}  // namespace

Result<std::unique_ptr<Acceptor>> Acceptor::open(const std::vector<std::string>& addresses, gid_t group,
                                                 Handler handler) {
  std::unique_ptr<Acceptor> acceptor(new Acceptor(group, std::move(handler)));
  if (addresses.empty()) return fail(Code::kInvalidArgument, "no address to listen on");
  for (const std::string& address : addresses) TRY(acceptor->add(address));
  acceptor->stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!acceptor->stop_) return fail_errno("eventfd");
  return acceptor;
}

Result<> Acceptor::add(const std::string& address) {
  TRY_ASSIGN(const std::string path, path_of(address));
  TRY(sys::make_directories(path.substr(0, std::max<size_t>(path.rfind('/'), 1)), 0755));
  TRY(require_free(path));
  Listener listener;
  TRY_ASSIGN(listener.fd, sys::listen_unix(path, SOCK_STREAM, 0660));
  listener.path = path;
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return fail_errno(concat("stat ", quote(path)));
  listener.device = info.st_dev;
  listener.inode = info.st_ino;
  if (group_ != 0 && ::lchown(path.c_str(), static_cast<uid_t>(-1), group_) != 0)
    return fail_errno(concat("chown ", quote(path)));
  listeners_.push_back(std::move(listener));
  return {};
}

Acceptor::~Acceptor() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }
  for (const Listener& listener : listeners_) {
    struct stat info{};
    const bool own =
        ::lstat(listener.path.c_str(), &info) == 0 && info.st_dev == listener.device && info.st_ino == listener.inode;
    if (own) ::unlink(listener.path.c_str());
  }
}

Result<> Acceptor::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& e) {
    return fail_errno("start the accepting thread", e.code().value());
  }
  return {};
}

void Acceptor::run() {
  ::pthread_setname_np(::pthread_self(), "cri-accept");
  std::vector<pollfd> polled = {{stop_.get(), POLLIN, 0}};
  for (const Listener& listener : listeners_) polled.push_back({listener.fd.get(), POLLIN, 0});
  for (;;) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      log_error("cri: accepting ended", {{"error", errno_text(errno)}});
      return;
    }
    if (polled[0].revents != 0) return;
    for (size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents != 0) accept_from(listeners_[i - 1]);
    }
  }
}

void Acceptor::accept_from(const Listener& listener) {
  // Non-blocking, as gRPC's event loop requires.
  Fd connection(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection) {
    if (errno == EINTR || errno == ECONNABORTED || errno == EAGAIN) return;
    log_warn("cri: accept failed", {{"socket", listener.path}, {"error", errno_text(errno)}});
    // Out of descriptors or memory: the connection stays in the backlog; do not spin on it.
    pollfd stop{stop_.get(), POLLIN, 0};
    ::poll(&stop, 1, 100);
    return;
  }
  if (may_speak(connection.get())) handler_(std::move(connection));
}

bool Acceptor::may_speak(int connection) const {
  const auto peer = sys::peer_credentials(connection);
  if (!peer) {
    log_warn("cri: connection refused", {{"error", peer.error().message()}});
    return false;
  }
  if (peer->uid == 0 || peer->uid == ::geteuid() || peer->gid == group_) return true;
  std::vector<gid_t> groups(256);
  auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
    groups.resize(size / sizeof(gid_t));
    if (std::ranges::find(groups, group_) != groups.end()) return true;
  }
  log_warn("cri: connection refused", {{"uid", peer->uid}, {"pid", peer->pid}});
  return false;
}

}  // namespace berth::cri
