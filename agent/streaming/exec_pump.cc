// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/exec_pump.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

// ExecSession::wait() on a thread of its own, with a descriptor to poll for its end.
class ExitWaiter {
 public:
  explicit ExitWaiter(pods::ExecSession& session) : session_(session), event_(::eventfd(0, EFD_CLOEXEC)) {
    try {
      if (event_) thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      // Seen by the caller through started().
    }
  }
  ~ExitWaiter() {
    if (!thread_.joinable()) return;
    if (!done()) session_.cancel_wait();
    thread_.join();
  }
  bool started() const { return thread_.joinable(); }
  int fd() const { return event_.get(); }
  bool done() const { return done_.load(std::memory_order_acquire); }
  // After done().
  const Result<shim::ExitRecord>& result() const { return result_; }

 private:
  void run() {
    result_ = session_.wait();
    done_.store(true, std::memory_order_release);
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(event_.get(), &one, sizeof one);
  }

  pods::ExecSession& session_;
  Fd event_;
  Result<shim::ExitRecord> result_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

class Pump {
 public:
  Pump(Link& link, Channels& channels, const PumpRequest& request)
      : link_(link), channels_(channels), request_(request) {}

  void run(std::string_view first) {
    if (!take(first) || !wait_until_ready()) return link_.close();
    auto started = request_.start();
    Outcome outcome;
    if (!started) {
      outcome.error = std::move(started).error();
    } else {
      session_ = std::move(*started);
      if (!pump(outcome)) {
        link_.close();
        release();
        return;
      }
      release();
    }
    channels_.finish(outcome);
    link_.close_gently(request_.times.goodbye);
  }

 private:
  // Bytes of the client. False ends the connection.
  bool take(std::string_view bytes) {
    const auto result = channels_.feed(bytes);
    if (!result) log_debug("streaming: connection ended", {{"error", result.error().message()}});
    return result.has_value();
  }

  bool read_client() {
    std::string bytes;
    const Io io = link_.read(bytes);
    if (!bytes.empty() && !take(bytes)) return false;
    return io != Io::kEnd;
  }

  bool wait_until_ready() {
    const long long deadline = monotonic_nanos() + request_.times.creation.count() * 1'000'000;
    while (!channels_.ready()) {
      const long long left = (deadline - monotonic_nanos()) / 1'000'000;
      if (left <= 0 || channels_.inbox().client_left) return false;
      pollfd polled[] = {{link_.fd(), link_.events(true), 0}, {link_.stop(), POLLIN, 0}};
      if (::poll(polled, 2, static_cast<int>(left)) < 0 && errno != EINTR) return false;
      if (polled[1].revents != 0) return false;
      if ((polled[0].revents & ~POLLOUT) != 0 && !read_client()) return false;
      if (link_.flush() == Io::kEnd) return false;
    }
    return true;
  }

  void release() {
    // The descriptors first: a process that was abandoned sees the end of its input or a hangup.
    session_->streams() = {};
    waiter_.reset();
    session_.reset();
  }

  bool terminal() const { return session_->streams().terminal.valid(); }
  int input_fd() const {
    return terminal() ? session_->streams().terminal.get() : session_->streams().stdin_writer.get();
  }
  bool output_open() const {
    return terminal() || session_->streams().stdout_reader.valid() || session_->streams().stderr_reader.valid();
  }

  // False: the client has gone and nothing is to be said to it.
  bool pump(Outcome& outcome) {
    pods::Streams& streams = session_->streams();
    for (const Fd* fd : {&streams.stdin_writer, &streams.stdout_reader, &streams.stderr_reader, &streams.terminal}) {
      if (*fd && !set_nonblocking(fd->get())) return false;
    }
    if (request_.wait_for_exit) {
      waiter_ = std::make_unique<ExitWaiter>(*session_);
      if (!waiter_->started()) {
        outcome.error = Error(Code::kResourceExhausted, "no thread to wait for the process");
        return true;
      }
    }
    had_output_ = output_open();
    quiet_since_ = monotonic_nanos();
    while (!finished()) {
      if (!step()) return false;
    }
    if (waiter_) {
      const auto& exit = waiter_->result();
      if (exit)
        outcome.exit_code = exit->code;
      else
        outcome.error = exit.error();
    }
    return true;
  }

  // Output is still wanted and there is room for it.
  bool may_read_output() const { return link_.out().size() < kHighWater; }

  bool finished() const {
    if (!request_.wait_for_exit) return had_output_ ? !output_open() : input_broken_;
    if (!exit_seen_) return false;
    if (!output_open()) return true;
    // What the process wrote before it ended is there to be read at once; a pty may take a moment. More than that comes
    // from a child it left behind.
    return may_read_output() && monotonic_nanos() - quiet_since_ > request_.times.drain.count() * 1'000'000;
  }

  // One round of poll(2). False: the client has gone.
  bool step() {
    enum : size_t { kLink, kStop, kExit, kIn, kOut, kErr, kCount };
    pods::Streams& streams = session_->streams();
    const Inbox& inbox = channels_.inbox();
    const bool room = may_read_output();
    const bool exited = exit_seen_;
    const bool write_input = !inbox.input.empty() && !input_broken_;
    pollfd polled[kCount] = {};
    for (pollfd& p : polled) p.fd = -1;
    polled[kLink] = {link_.fd(), link_.events(inbox.input.size() < kHighWater), 0};
    polled[kStop] = {link_.stop(), POLLIN, 0};
    if (waiter_ && !exited) polled[kExit] = {waiter_->fd(), POLLIN, 0};
    // Events 0 still tells that the reader has gone.
    if (streams.stdin_writer)
      polled[kIn] = {streams.stdin_writer.get(), static_cast<short>(write_input ? POLLOUT : 0), 0};
    if (terminal()) {
      if (write_input) polled[kIn] = {streams.terminal.get(), POLLOUT, 0};
      if (room) polled[kOut] = {streams.terminal.get(), POLLIN, 0};
    } else if (room) {
      if (streams.stdout_reader) polled[kOut] = {streams.stdout_reader.get(), POLLIN, 0};
      if (streams.stderr_reader) polled[kErr] = {streams.stderr_reader.get(), POLLIN, 0};
    }
    const auto limit = exited && room ? request_.times.drain : request_.times.idle;
    const int got = ::poll(polled, kCount, static_cast<int>(limit.count()));
    if (got < 0) return errno == EINTR;
    if (got == 0)
      return exited;  // silence after the exit: finished() will see; else nobody has said anything for hours
    if (polled[kStop].revents != 0) return false;
    if (!serve_client(polled[kLink].revents)) return false;
    serve_input(polled[kIn].revents);
    if (polled[kOut].revents != 0)
      serve_output(terminal() ? streams.terminal : streams.stdout_reader, Channel::kStdout);
    if (polled[kErr].revents != 0) serve_output(streams.stderr_reader, Channel::kStderr);
    if (polled[kExit].revents != 0) {
      // The silence counts from here: what was written just before the exit is still to be read.
      exit_seen_ = waiter_->done();
      quiet_since_ = monotonic_nanos();
    }
    return link_.flush() != Io::kEnd;
  }

  bool serve_client(short events) {
    if ((events & POLLIN) != 0) {
      if (!read_client()) return false;
    } else if ((events & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
      return false;
    }
    Inbox& inbox = channels_.inbox();
    if (inbox.client_left) return false;
    if (inbox.resize) {
      const auto result = session_->resize(inbox.resize->width, inbox.resize->height);
      if (!result) log_debug("streaming: resize failed", {{"error", result.error().message()}});
      inbox.resize.reset();
    }
    return true;
  }

  void serve_input(short events) {
    Inbox& inbox = channels_.inbox();
    pods::Streams& streams = session_->streams();
    if (!inbox.input.empty() && input_fd() >= 0 && !input_broken_ && write_some(input_fd(), inbox.input) == Io::kEnd)
      input_broken_ = true;
    if (streams.stdin_writer && (events & (POLLERR | POLLNVAL)) != 0) input_broken_ = true;
    if (input_broken_ || input_fd() < 0) inbox.input.clear();
    // A terminal has no half to close: its end of input is a character that the client sends.
    if (input_broken_ || (inbox.input_closed && inbox.input.empty())) streams.stdin_writer.reset();
  }

  void serve_output(Fd& fd, Channel channel) {
    buffer_.clear();
    const Io io = read_some(fd.get(), buffer_);
    if (!buffer_.empty()) {
      channels_.send(channel, buffer_);
      quiet_since_ = monotonic_nanos();
    }
    if (io == Io::kEnd) fd.reset();
  }

  Link& link_;
  Channels& channels_;
  const PumpRequest& request_;
  std::unique_ptr<pods::ExecSession> session_;
  std::unique_ptr<ExitWaiter> waiter_;
  std::string buffer_;
  bool had_output_ = false;
  bool input_broken_ = false;
  bool exit_seen_ = false;
  long long quiet_since_ = 0;
};

}  // namespace

void pump_exec(Link& link, Channels& channels, const PumpRequest& request, std::string_view first) {
  Pump(link, channels, request).run(first);
}

}  // namespace berth::streaming
