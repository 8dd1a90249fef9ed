// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

// How long output that a grandchild still holds open is waited for once the process itself has ended.
constexpr long long kDrainNanos = 1'000'000'000;

class RawTerminal {
 public:
  explicit RawTerminal(bool wanted) {
    if (!wanted || ::tcgetattr(STDIN_FILENO, &saved_) < 0) return;
    termios raw = saved_;
    ::cfmakeraw(&raw);
    active_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (active_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
  }

 private:
  termios saved_{};
  bool active_ = false;
};

void set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

// One output of the process and where it goes.
struct Output {
  Fd source;
  int target = -1;
};

class Pump {
 public:
  Pump(pods::ExecSession& session, const PumpOptions& options, const SignalPipe& signals,
       const std::function<void(int)>& on_signal)
      : session_(session), options_(options), signals_(signals), on_signal_(on_signal) {
    pods::Streams& streams = session.streams();
    if (streams.terminal) {
      if (options.open_stdin) input_ = Fd(::fcntl(streams.terminal.get(), F_DUPFD_CLOEXEC, 3));
      outputs_.push_back({std::move(streams.terminal), STDOUT_FILENO});
    } else {
      if (streams.stdin_writer && options.open_stdin) input_ = std::move(streams.stdin_writer);
      streams.stdin_writer.reset();
      if (streams.stdout_reader) outputs_.push_back({std::move(streams.stdout_reader), STDOUT_FILENO});
      if (streams.stderr_reader) outputs_.push_back({std::move(streams.stderr_reader), STDERR_FILENO});
    }
    for (Output& output : outputs_) set_nonblocking(output.source.get());
    if (input_) set_nonblocking(input_.get());
    reading_stdin_ = input_.valid();
  }

  Result<shim::ExitRecord> run() {
    ended_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!ended_) return fail_errno("eventfd");
    const RawTerminal raw(options_.terminal && ::isatty(STDIN_FILENO) == 1);
    resize();
    std::optional<Result<shim::ExitRecord>> exit;
    std::thread waiter([&] {
      exit = session_.wait();
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(ended_.get(), &one, sizeof one);
    });
    loop();
    waiter.join();
    return std::move(*exit);
  }

 private:
  bool outputs_open() const {
    for (const Output& output : outputs_) {
      if (output.source) return true;
    }
    return false;
  }

  void loop() {
    long long deadline = 0;
    while (deadline == 0 || outputs_open()) {
      int timeout = -1;
      if (deadline != 0) {
        const long long left = deadline - monotonic_nanos();
        if (left <= 0) return;
        timeout = static_cast<int>(left / 1'000'000) + 1;
      }
      std::vector<pollfd> fds;
      fds.push_back({signals_.fd(), POLLIN, 0});
      fds.push_back({deadline == 0 ? ended_.get() : -1, POLLIN, 0});
      fds.push_back({reading_stdin_ && pending_.empty() ? STDIN_FILENO : -1, POLLIN, 0});
      fds.push_back({!pending_.empty() ? input_.get() : -1, POLLOUT, 0});
      for (const Output& output : outputs_) fds.push_back({output.source.get(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) return;
      if (fds[0].revents != 0) take_signals();
      if (fds[1].revents != 0) deadline = monotonic_nanos() + kDrainNanos;
      if (fds[2].revents != 0) take_stdin();
      if (fds[3].revents != 0) flush_stdin();
      for (size_t i = 0; i < outputs_.size(); ++i) {
        if (fds[4 + i].revents != 0) copy(outputs_[i]);
      }
    }
  }

  void take_signals() {
    unsigned char numbers[32];
    const ssize_t got = ::read(signals_.fd(), numbers, sizeof numbers);
    for (ssize_t i = 0; i < got; ++i) {
      if (numbers[i] == SIGWINCH && options_.terminal)
        resize();
      else if (numbers[i] != SIGWINCH && numbers[i] != SIGCONT)
        on_signal_(numbers[i]);
    }
  }

  void resize() {
    winsize size{};
    if (!options_.terminal || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return;
    if (auto resized = session_.resize(size.ws_col, size.ws_row); !resized)
      log_debug("resize", {{"error", resized.error().message()}});
  }

  void take_stdin() {
    char buffer[32 << 10];
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got > 0) {
      pending_.assign(buffer, static_cast<size_t>(got));
      flush_stdin();
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      close_stdin();
    }
  }

  void flush_stdin() {
    while (!pending_.empty()) {
      const ssize_t put = ::write(input_.get(), pending_.data(), pending_.size());
      if (put > 0) {
        pending_.erase(0, static_cast<size_t>(put));
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR) {
        pending_.clear();
        close_stdin();
        return;
      }
    }
  }

  void close_stdin() {
    reading_stdin_ = false;
    input_.reset();
  }

  void copy(Output& output) {
    char buffer[64 << 10];
    const ssize_t got = ::read(output.source.get(), buffer, sizeof buffer);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // EIO is how a pty master says that the last holder of the other side has gone.
    if (got <= 0) {
      output.source.reset();
      return;
    }
    if (output.target >= 0 && !sys::write_all(output.target, {buffer, static_cast<size_t>(got)})) output.target = -1;
  }

  pods::ExecSession& session_;
  const PumpOptions options_;
  const SignalPipe& signals_;
  const std::function<void(int)>& on_signal_;
  Fd input_;
  Fd ended_;
  std::vector<Output> outputs_;
  bool reading_stdin_ = false;
  std::string pending_;  // read from our stdin, not yet taken by the process
};

}  // namespace

Result<shim::ExitRecord> pump(pods::ExecSession& session, const PumpOptions& options, const SignalPipe& signals,
                              const std::function<void(int)>& on_signal) {
  return Pump(session, options, signals, on_signal).run();
}

}  // namespace berth::cli
