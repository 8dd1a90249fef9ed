// SPDX-License-Identifier: Apache-2.0
// A container's log in CRI format: `<RFC3339Nano> <stdout|stderr> <F|P> <content>\n`.
//
// Lines longer than 16 KiB are split, every part but the last tagged P; what is left without a newline at the end is
// written as P too, as containerd does. Nothing here ever fails towards the container: when the disk is full, whole
// lines are dropped and counted, and the file never holds a torn one. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::shim {

enum class Stream : unsigned char { kStdout, kStderr };

class CriLog {
 public:
  static constexpr size_t kMaxLine = 16 * 1024;

  // Creates (0640) or appends. Links, FIFOs, devices and relative paths with ".." are refused (CVE-2025-0750).
  Result<> open(const std::string& path);
  // Opens the path anew; on error the old file stays in use. Nothing buffered is lost: it goes to the new file.
  Result<> reopen();

  // Takes what one read from the container gave; complete lines go out with one write.
  void append(Stream stream, std::string_view data);
  // At the end of a stream: what has no newline yet.
  void finish(Stream stream);

  uint64_t dropped_lines() const { return dropped_; }

 private:
  void add_line(Stream stream, char tag, std::string_view content);
  void flush();

  std::string path_;
  Fd file_;
  std::string partial_[2];
  std::string batch_;
  std::string stamp_;  // of the current append: one clock reading per read
  uint64_t dropped_ = 0;
};

}  // namespace berth::shim
