// SPDX-License-Identifier: Apache-2.0
#include "runtime/sys/socket.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/path.h"

namespace berth::sys {
namespace {

constexpr size_t kMaxFds = 16;

struct Address {
  sockaddr_un value{};
  Fd folder;  // keeps /proc/self/fd/N of a long path alive
};

Result<Address> make_address(const std::string& path) {
  Address address;
  address.value.sun_family = AF_UNIX;
  std::string name = path;
  if (name.size() >= sizeof address.value.sun_path) {
    const size_t slash = path.rfind('/');
    TRY_ASSIGN(address.folder, open_path(path.substr(0, slash), O_PATH | O_DIRECTORY));
    name = concat(fd_path(address.folder.get()), path.substr(slash));
  }
  if (name.size() >= sizeof address.value.sun_path) return fail(Code::kInvalidArgument, concat("socket ", quote(path), ": name too long"));
  ::memcpy(address.value.sun_path, name.c_str(), name.size() + 1);
  return address;
}

}  // namespace

Result<std::pair<Fd, Fd>> seqpacket_pair() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail_errno("socketpair");
  return std::pair(Fd(pair[0]), Fd(pair[1]));
}

Result<std::pair<Fd, Fd>> make_pipe(int flags) {
  int pair[2];
  if (::pipe2(pair, O_CLOEXEC | flags) != 0) return fail_errno("pipe");
  return std::pair(Fd(pair[0]), Fd(pair[1]));
}

Result<Fd> listen_unix(const std::string& path, int type, unsigned mode) {
  TRY_ASSIGN(const auto address, make_address(path));
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket");
  ::unlink(path.c_str());
  const auto* raw = reinterpret_cast<const sockaddr*>(&address.value);
  if (::bind(fd.get(), raw, sizeof address.value) != 0) return fail_errno(concat("bind ", quote(path)));
  if (::chmod(path.c_str(), mode) != 0) return fail_errno(concat("chmod ", quote(path)));
  if (::listen(fd.get(), 128) != 0) return fail_errno(concat("listen ", quote(path)));
  return fd;
}

Result<Fd> connect_unix(const std::string& path, int type) {
  TRY_ASSIGN(const auto address, make_address(path));
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket");
  const auto* raw = reinterpret_cast<const sockaddr*>(&address.value);
  if (::connect(fd.get(), raw, sizeof address.value) != 0) return fail_errno(concat("connect ", quote(path)));
  return fd;
}

Result<> send_message(int socket, std::string_view data, std::span<const int> fds) {
  iovec part{const_cast<char*>(data.data()), data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  if (!fds.empty()) {
    if (fds.size() > kMaxFds) return fail(Code::kInvalidArgument, "too many descriptors in one message");
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    ::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return fail_errno("send");
  }
  return {};
}

Result<Message> receive_message(int socket, size_t limit) {
  Message result;
  // MSG_PEEK|MSG_TRUNC tells a datagram's size, so that a small message does not cost a large buffer.
  ssize_t size = 0;
  do size = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno("receive");
  if (static_cast<size_t>(size) > limit) {
    ::recv(socket, nullptr, 0, MSG_TRUNC);
    return fail(Code::kResourceExhausted, concat("message of ", size, " bytes exceeds ", limit));
  }
  result.data.resize(size == 0 ? 65536 : static_cast<size_t>(size));
  iovec part{result.data.data(), result.data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  do size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno("receive");
  result.data.resize(static_cast<size_t>(size));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      ::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      result.fds.emplace_back(fd);
    }
  }
  result.closed = size == 0 && result.fds.empty();
  return result;
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return fail_errno("peer credentials");
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace berth::sys
