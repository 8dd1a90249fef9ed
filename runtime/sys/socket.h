// SPDX-License-Identifier: Apache-2.0
// Unix sockets: message pairs, path sockets, descriptors in messages, the peer's identity.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::sys {

// socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC) and pipe2(O_CLOEXEC | flags).
Result<std::pair<Fd, Fd>> seqpacket_pair();
Result<std::pair<Fd, Fd>> make_pipe(int flags = 0);

// A path socket of `type` (SOCK_STREAM or SOCK_SEQPACKET). Paths longer than sun_path are reached through /proc/self/fd
// of the parent directory, so their length does not matter. listen removes a stale socket file first.
Result<Fd> listen_unix(const std::string& path, int type, unsigned mode = 0600);
Result<Fd> connect_unix(const std::string& path, int type);

struct Message {
  std::string data;
  std::vector<Fd> fds;
  bool closed = false;  // the peer has gone: data is empty
};

// One datagram or as much of a stream as fits. At most 16 descriptors; surplus ones are closed by the kernel.
// EAGAIN (non-blocking socket) comes back as the error's sys_errno.
Result<> send_message(int socket, std::string_view data, std::span<const int> fds = {});
Result<Message> receive_message(int socket, size_t limit = 1u << 20);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
Result<PeerCredentials> peer_credentials(int socket);

}  // namespace berth::sys
