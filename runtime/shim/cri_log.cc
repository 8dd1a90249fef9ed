// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/cri_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::shim {
namespace {

constexpr size_t kBatch = 128 * 1024;

Result<Fd> open_log(const std::string& path) {
  if (path.empty() || path[0] != '/')
    return fail(Code::kInvalidArgument, concat("log ", quote(path), ": must be absolute"));
  for (const auto part : split(path, '/')) {
    if (part == "..") return fail(Code::kInvalidArgument, concat("log ", quote(path), ": must not contain \"..\""));
  }
  // O_NONBLOCK so that a FIFO cannot hold up the open; it means nothing to a regular file.
  TRY_ASSIGN(auto file, sys::open_path(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640),
             "open log");
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return fail_errno(concat("stat log ", quote(path)));
  if (!S_ISREG(info.st_mode)) return fail(Code::kInvalidArgument, concat("log ", quote(path), ": not a regular file"));
  return file;
}

}  // namespace

Result<> CriLog::open(const std::string& path) {
  TRY_ASSIGN(file_, open_log(path));
  path_ = path;
  return {};
}

Result<> CriLog::reopen() {
  if (path_.empty()) return fail(Code::kFailedPrecondition, "container has no log");
  TRY_ASSIGN(file_, open_log(path_));
  return {};
}

void CriLog::append(Stream stream, std::string_view data) {
  if (!file_) return;
  stamp_ = rfc3339_now();
  auto& partial = partial_[static_cast<int>(stream)];
  while (!data.empty()) {
    const size_t newline = data.find('\n');
    const size_t length =
        std::min(newline == std::string_view::npos ? data.size() : newline, kMaxLine - partial.size());
    const bool complete = newline == length;
    if (partial.empty() && complete) {
      add_line(stream, 'F', data.substr(0, length));
    } else {
      // A full line waits for the next byte: only then is it known whether a newline ends it.
      if (length == 0 && !complete) {
        add_line(stream, 'P', partial);
        partial.clear();
        continue;
      }
      partial += data.substr(0, length);
      if (complete) {
        add_line(stream, 'F', partial);
        partial.clear();
      }
    }
    data.remove_prefix(length + (complete ? 1 : 0));
  }
  flush();
}

void CriLog::finish(Stream stream) {
  auto& partial = partial_[static_cast<int>(stream)];
  if (partial.empty() || !file_) return;
  stamp_ = rfc3339_now();
  add_line(stream, 'P', partial);
  partial = std::string();
  flush();
}

void CriLog::add_line(Stream stream, char tag, std::string_view content) {
  batch_ += stamp_;
  batch_ += stream == Stream::kStdout ? " stdout " : " stderr ";
  batch_ += tag;
  batch_ += ' ';
  batch_ += content;
  batch_ += '\n';
  if (batch_.size() >= kBatch) flush();
}

void CriLog::flush() {
  size_t done = 0;
  while (done < batch_.size()) {
    const ssize_t put = ::write(file_.get(), batch_.data() + done, batch_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put > 0) {
      done += static_cast<size_t>(put);
      continue;
    }
    const int error = put < 0 ? errno : ENOSPC;
    // Take back the part of a line that went out, so that readers never see a torn one.
    const std::string_view written(batch_.data(), done);
    const size_t newline = written.rfind('\n');
    const size_t kept = newline == std::string_view::npos ? 0 : newline + 1;
    struct stat info{};
    if (kept < done && ::fstat(file_.get(), &info) == 0) {
      [[maybe_unused]] const int cut = ::ftruncate(file_.get(), info.st_size - static_cast<off_t>(done - kept));
    }
    if (dropped_ == 0)
      log_warn("container log cannot be written, dropping lines", {{"path", path_}, {"error", errno_text(error)}});
    dropped_ += static_cast<uint64_t>(std::count(batch_.begin() + static_cast<ptrdiff_t>(kept), batch_.end(), '\n'));
    break;
  }
  batch_.clear();
  if (batch_.capacity() > 2 * kBatch) batch_.shrink_to_fit();
}

}  // namespace berth::shim
