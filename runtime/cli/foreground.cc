// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

sigset_t watched_signals() {
  sigset_t set;
  ::sigfillset(&set);
  for (const int kept : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPIPE, SIGURG, SIGTSTP, SIGTTIN, SIGTTOU}) {
    ::sigdelset(&set, kept);
  }
  return set;
}

// Our own terminal in raw mode for as long as the object lives. OPOST stays: the container's pty sends bare newlines.
class RawTerminal {
 public:
  RawTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    raw.c_oflag |= OPOST;
    active_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (active_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }

 private:
  termios before_{};
  bool active_ = false;
};

void copy_window_size(int console) {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ::ioctl(console, TIOCSWINSZ, &size);
}

class Foreground {
 public:
  explicit Foreground(container::Created& process) : process_(process) {}

  Result<int> run() {
    const sigset_t set = watched_signals();
    signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return fail_errno("watch signals");
    if (process_.console) prepare_console();
    while (true) {
      TRY(wait_once());
      if (!ended_) continue;
      TRY_ASSIGN(const auto status, sys::wait_child(process_.pidfd, false));
      if (!status) {
        ended_ = false;
        continue;
      }
      if (process_.console) drain_console();
      reap_orphans();
      return status->code;
    }
  }

 private:
  void prepare_console() {
    const int console = process_.console.get();
    copy_window_size(console);
    termios settings{};
    if (::tcgetattr(console, &settings) == 0) {
      settings.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
      ::tcsetattr(console, TCSANOW, &settings);
    }
    ::fcntl(console, F_SETFL, ::fcntl(console, F_GETFL) | O_NONBLOCK);
  }

  Result<> wait_once() {
    enum { kProcess, kSignals, kConsole, kInput };
    short console_events = POLLIN;
    if (!input_.empty()) console_events |= POLLOUT;
    const bool console = process_.console && !console_closed_;
    std::array<pollfd, 4> entries{{{process_.pidfd.get(), POLLIN, 0},
                                   {signals_.get(), POLLIN, 0},
                                   {console ? process_.console.get() : -1, console_events, 0},
                                   {console && !input_closed_ && input_.empty() ? STDIN_FILENO : -1, POLLIN, 0}}};
    if (::poll(entries.data(), entries.size(), -1) < 0) {
      if (errno == EINTR) return {};
      return fail_errno("wait for the container");
    }
    if (entries[kSignals].revents != 0) forward_signals();
    if ((entries[kConsole].revents & POLLOUT) != 0) write_input();
    if ((entries[kConsole].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const ssize_t got = read_console();
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) console_closed_ = true;
    }
    if (entries[kInput].revents != 0) read_input();
    ended_ = entries[kProcess].revents != 0;
    return {};
  }

  ssize_t read_console() {
    std::array<char, 16384> chunk;
    const ssize_t got = ::read(process_.console.get(), chunk.data(), chunk.size());
    // A reader of our output that has gone is no reason to kill the container.
    if (got > 0) (void)sys::write_all(STDOUT_FILENO, {chunk.data(), static_cast<size_t>(got)});
    return got;
  }

  void drain_console() {
    while (read_console() > 0) {
    }
  }

  void read_input() {
    std::array<char, 4096> chunk;
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got > 0) {
      input_.assign(chunk.data(), static_cast<size_t>(got));
      write_input();
    } else if (got == 0 || errno != EINTR) {
      input_closed_ = true;
    }
  }

  void write_input() {
    const ssize_t put = ::write(process_.console.get(), input_.data(), input_.size());
    if (put > 0) input_.erase(0, static_cast<size_t>(put));
    if (put < 0 && errno != EAGAIN && errno != EINTR) input_.clear();
  }

  void forward_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGCHLD) {
        reap_orphans();
      } else if (signal == SIGWINCH) {
        if (process_.console) copy_window_size(process_.console.get());
      } else {
        // ESRCH: it has just ended; the loop sees that next.
        (void)sys::send_signal(process_.pidfd, signal);
      }
    }
  }

  // Everything but the process itself, whose status wait_child takes.
  void reap_orphans() {
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
      if (info.si_pid == process_.pid) return;
      ::waitpid(info.si_pid, nullptr, WNOHANG);
      info.si_pid = 0;
    }
  }

  container::Created& process_;
  Fd signals_;
  std::string input_;  // typed, not yet taken by the pty
  bool input_closed_ = false;
  bool console_closed_ = false;
  bool ended_ = false;
};

}  // namespace

void block_signals() {
  const sigset_t set = watched_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void become_subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

Result<int> wait_foreground(container::Created& process) {
  if (!process.console) return Foreground(process).run();
  const RawTerminal raw;
  return Foreground(process).run();
}

}  // namespace berth::cli
