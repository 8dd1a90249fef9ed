// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "runtime/sys/socket.h"

namespace berth::cli {
namespace {

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

volatile int signal_writer = -1;

void on_signal(int number) {
  const int saved = errno;
  const char byte = static_cast<char>(number);
  [[maybe_unused]] const ssize_t written = ::write(signal_writer, &byte, 1);
  errno = saved;
}

}  // namespace

Result<SignalPipe> SignalPipe::open() {
  TRY_ASSIGN(auto ends, sys::make_pipe(O_NONBLOCK));
  SignalPipe pipe(std::move(ends.first), std::move(ends.second));
  signal_writer = pipe.writer_.get();
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int number : kForwarded) ::sigaction(number, &action, nullptr);
  return pipe;
}

SignalPipe::~SignalPipe() {
  if (!writer_) return;
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (const int number : kForwarded) ::sigaction(number, &action, nullptr);
  signal_writer = -1;
}

}  // namespace berth::cli
