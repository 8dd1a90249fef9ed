// SPDX-License-Identifier: Apache-2.0
// What a pull shows: a bar per layer that is redrawn on a terminal, plain lines elsewhere; docker's words in both.
#pragma once

#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "rootfs/images.h"

namespace berth::cli {

// Thread-safe: on_progress() is called by the pull's own threads.
class PullDisplay {
 public:
  enum class Style : unsigned char { kBars, kLines, kQuiet };
  // Bars when `out` is a terminal. `normalized` is the whole reference.
  PullDisplay(FILE* out, const std::string& normalized, bool quiet);

  void on_progress(const rootfs::PullProgress& step);
  // The closing lines: digest, status, and the reference.
  void finish(const rootfs::Image& image, bool was_known);

 private:
  struct Layer {
    std::string digest;
    std::string state;
    int64_t done = 0;
    int64_t total = 0;
    bool finished = false;
  };

  void announce();
  Layer& layer(const std::string& digest);
  void redraw(bool force);

  std::mutex mutex_;
  FILE* out_;
  std::string reference_;
  Style style_;
  bool announced_ = false;
  std::vector<Layer> layers_;
  size_t drawn_ = 0;  // lines on the screen that belong to the bars
  long long last_redraw_ = 0;
};

// One line of a bar, without newline: "a1b2c3d4e5f6: Downloading [====>     ]  1.2MB/4.3MB".
std::string progress_line(const std::string& digest, const std::string& state, int64_t done, int64_t total);

// "docker.io/library/busybox:latest" → "busybox:latest", as people write it.
std::string familiar_reference(const std::string& normalized);

}  // namespace berth::cli
