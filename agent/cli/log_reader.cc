// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/log_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <deque>

#include "agent/cli/units.h"
#include "runtime/base/fd.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

constexpr int kPollMilliseconds = 100;

Result<size_t> read_some(int fd, char* buffer, size_t size) {
  for (;;) {
    const ssize_t got = ::read(fd, buffer, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return fail_errno("read the log");
  }
}

Result<> drain(int fd, LogPrinter& printer) {
  static thread_local char buffer[64 << 10];
  for (;;) {
    TRY_ASSIGN(const size_t got, read_some(fd, buffer, sizeof buffer));
    if (got == 0) return {};
    printer.feed({buffer, got});
  }
}

// The file now at `path` when it is another than the one open.
Fd replacement(const std::string& path, int open_fd) {
  struct stat now{}, held{};
  if (::stat(path.c_str(), &now) < 0) return {};
  if (open_fd >= 0 && ::fstat(open_fd, &held) == 0 && held.st_ino == now.st_ino && held.st_dev == now.st_dev) return {};
  auto opened = sys::open_path(path, O_RDONLY);
  return opened ? std::move(*opened) : Fd();
}

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  LogLine out;
  const size_t first = line.find(' ');
  if (first == std::string_view::npos || first < 20) return std::nullopt;
  out.time = line.substr(0, first);
  line.remove_prefix(first + 1);
  if (!line.starts_with("stdout ") && !line.starts_with("stderr ")) return std::nullopt;
  out.is_stderr = line.starts_with("stderr");
  line.remove_prefix(7);
  const size_t tag_end = line.find_first_of(" ");
  const std::string_view tags = line.substr(0, tag_end);
  const std::string_view tag = tags.substr(0, tags.find(':'));
  if (tag != "P" && tag != "F") return std::nullopt;
  out.is_partial = tag == "P";
  if (tag_end != std::string_view::npos) out.content = line.substr(tag_end + 1);
  return out;
}

void LogPrinter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      rest_ += bytes;
      return;
    }
    if (rest_.empty()) {
      print(bytes.substr(0, end));
    } else {
      rest_ += bytes.substr(0, end);
      print(rest_);
      rest_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
}

void LogPrinter::print(std::string_view text) {
  const auto line = parse_log_line(text);
  if (!line) return;
  bool& mid_line = mid_line_[line->is_stderr ? 1 : 0];
  if (options_.since_nanos > 0) {
    const auto at = parse_rfc3339(line->time);
    if (at && *at < options_.since_nanos) return;
  }
  std::string out;
  if (options_.timestamps && !mid_line) out = concat(line->time, ' ');
  out += line->content;
  if (!line->is_partial) out += '\n';
  mid_line = line->is_partial;
  sink_(line->is_stderr, out);
}

Result<uint64_t> tail_offset(const std::string& path, uint64_t count) {
  TRY_ASSIGN(const Fd file, sys::open_path(path, O_RDONLY));
  std::deque<uint64_t> starts;
  bool mid_line[2] = {false, false};
  uint64_t offset = 0, line_start = 0;
  std::string head;  // the line's first bytes: time, stream and tag
  static thread_local char buffer[64 << 10];
  for (;;) {
    TRY_ASSIGN(const size_t got, read_some(file.get(), buffer, sizeof buffer));
    if (got == 0) break;
    for (std::string_view bytes(buffer, got); !bytes.empty();) {
      const size_t end = bytes.find('\n');
      const size_t length = end == std::string_view::npos ? bytes.size() : end;
      if (head.size() < 64) head += bytes.substr(0, std::min<size_t>(length, 64 - head.size()));
      offset += length;
      bytes.remove_prefix(length);
      if (end == std::string_view::npos) break;
      bytes.remove_prefix(1);
      ++offset;
      if (const auto line = parse_log_line(head)) {
        bool& mid = mid_line[line->is_stderr ? 1 : 0];
        if (!mid) starts.push_back(line_start);
        if (starts.size() > count) starts.pop_front();
        mid = line->is_partial;
      }
      head.clear();
      line_start = offset;
    }
  }
  return starts.empty() ? offset : starts.front();
}

Result<> print_log(const std::string& path, const LogOptions& options, const std::function<bool()>& ended,
                   const LogSink& sink) {
  LogPrinter printer(options, sink);
  Fd file;
  if (sys::path_exists(path)) {
    uint64_t start = 0;
    if (options.tail) {
      TRY_ASSIGN(start, tail_offset(path, *options.tail));
    }
    TRY_ASSIGN(file, sys::open_path(path, O_RDONLY));
    if (::lseek(file.get(), static_cast<off_t>(start), SEEK_SET) < 0) return fail_errno(concat("seek ", quote(path)));
  }
  for (unsigned round = 0;; ++round) {
    // Asked before the last read: what the container wrote before its end is in the file by then.
    const bool last = !options.follow || (round % 5 == 0 && ended());
    if (file) TRY(drain(file.get(), printer), concat("log ", quote(path)));
    if (Fd next = replacement(path, file.get())) {
      // The writer may have added to the old file between our last read and the rename.
      if (file) TRY(drain(file.get(), printer), concat("log ", quote(path)));
      file = std::move(next);
      TRY(drain(file.get(), printer), concat("log ", quote(path)));
    }
    if (last) return {};
    ::poll(nullptr, 0, kPollMilliseconds);
  }
}

}  // namespace berth::cli
