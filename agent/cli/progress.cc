// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/progress.h"

#include <unistd.h>

#include <algorithm>

#include "agent/cli/table.h"
#include "agent/cli/units.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

constexpr int kBarWidth = 50;
constexpr long long kRedrawNanos = 80'000'000;

std::string short_digest(const std::string& digest) {
  const size_t colon = digest.find(':');
  return digest.substr(colon == std::string::npos ? 0 : colon + 1, 12);
}

}  // namespace

std::string familiar_reference(const std::string& normalized) {
  std::string_view text = normalized;
  for (const std::string_view prefix : {"docker.io/library/", "docker.io/"}) {
    if (text.starts_with(prefix)) {
      text.remove_prefix(prefix.size());
      break;
    }
  }
  return std::string(text);
}

std::string progress_line(const std::string& digest, const std::string& state, int64_t done, int64_t total) {
  std::string line = concat(short_digest(digest), ": ", state);
  if (total <= 0) return line;
  const auto filled =
      static_cast<size_t>(std::clamp<double>(static_cast<double>(done) / static_cast<double>(total), 0, 1) * kBarWidth);
  std::string bar(filled, '=');
  if (filled < kBarWidth) bar += '>';
  bar.resize(kBarWidth, ' ');
  return concat(line, " [", bar, "]  ", human_size(done), "/", human_size(total));
}

PullDisplay::PullDisplay(FILE* out, const std::string& normalized, bool quiet)
    : out_(out),
      reference_(normalized),
      style_(quiet                          ? Style::kQuiet
             : ::isatty(::fileno(out)) == 1 ? Style::kBars
                                            : Style::kLines) {}

void PullDisplay::announce() {
  if (announced_ || style_ == Style::kQuiet) return;
  announced_ = true;
  const std::string repository = reference_.substr(reference_.find('/') + 1);
  const size_t at = repository.find('@');
  const size_t colon = repository.rfind(':');
  const size_t cut = at != std::string::npos ? at : colon;
  const std::string name = repository.substr(0, cut);
  const std::string tag = cut == std::string::npos ? "latest" : repository.substr(cut + 1);
  std::fprintf(out_, "%s: Pulling from %s\n", printable(tag).c_str(), printable(name).c_str());
  std::fflush(out_);
}

PullDisplay::Layer& PullDisplay::layer(const std::string& digest) {
  for (Layer& known : layers_) {
    if (known.digest == digest) return known;
  }
  layers_.push_back({digest, "Waiting", 0, 0, false});
  return layers_.back();
}

void PullDisplay::on_progress(const rootfs::PullProgress& step) {
  using Kind = rootfs::PullProgress::Kind;
  const std::lock_guard lock(mutex_);
  announce();
  if (step.digest.empty() || style_ == Style::kQuiet) return;
  Layer& entry = layer(step.digest);
  const bool was_finished = entry.finished;
  const std::string before = entry.state;
  entry.done = step.done;
  entry.total = step.total;
  switch (step.kind) {
    case Kind::kLayerDownloading:
      entry.state = "Downloading";
      break;
    case Kind::kLayerDownloaded:
      entry.state = "Download complete";
      entry.total = 0;
      break;
    case Kind::kLayerUnpacking:
      entry.state = "Extracting";
      break;
    case Kind::kLayerExists:
      entry.state = "Already exists";
      entry.total = 0;
      entry.finished = true;
      break;
    case Kind::kLayerDone:
      if (!was_finished) entry.state = "Pull complete";
      entry.total = 0;
      entry.finished = true;
      break;
    case Kind::kResolving:
    case Kind::kDone:
      break;
  }
  if (style_ == Style::kBars) {
    redraw(entry.state != before);
  } else if (entry.finished && !was_finished) {
    std::fprintf(out_, "%s: %s\n", short_digest(entry.digest).c_str(), entry.state.c_str());
    std::fflush(out_);
  }
}

void PullDisplay::redraw(bool force) {
  const long long now = monotonic_nanos();
  if (!force && now - last_redraw_ < kRedrawNanos) return;
  last_redraw_ = now;
  std::string text;
  if (drawn_ > 0) text = concat("\x1b[", drawn_, "A");
  for (const Layer& entry : layers_)
    text += concat("\r\x1b[K", progress_line(entry.digest, entry.state, entry.done, entry.total), "\n");
  drawn_ = layers_.size();
  std::fputs(text.c_str(), out_);
  std::fflush(out_);
}

void PullDisplay::finish(const rootfs::Image& image, bool was_known) {
  const std::lock_guard lock(mutex_);
  if (style_ == Style::kQuiet) return;
  announce();
  if (style_ == Style::kBars) redraw(true);
  std::fprintf(out_, "Digest: %s\nStatus: %s %s\n", image.manifest_digest.c_str(),
               was_known ? "Image is up to date for" : "Downloaded newer image for",
               printable(familiar_reference(reference_)).c_str());
  std::fflush(out_);
}

}  // namespace berth::cli
