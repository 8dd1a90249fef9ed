// SPDX-License-Identifier: Apache-2.0
// Freezing, killing and removing: what must end even against a container that works against it.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/control_file.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"

namespace berth::cgroup {
namespace {

constexpr long long kFreezeNanos = 10'000'000'000;
constexpr long long kKillNanos = 10'000'000'000;
constexpr long long kRemoveNanos = 5'000'000'000;
constexpr unsigned kFirstPause = 50;        // µs
constexpr unsigned kLongestPause = 10'000;  // µs

std::vector<std::string> subdirectories(int dir) {
  std::vector<std::string> out;
  const int copy = ::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return out;
  DIR* stream = ::fdopendir(copy);
  if (stream == nullptr) {
    ::close(copy);
    return out;
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") out.emplace_back(name);
  }
  ::closedir(stream);
  return out;
}

Result<> collect(int dir, bool recursive, std::vector<pid_t>& out) {
  auto text = sys::read_file_at(dir, "cgroup.procs");
  if (!text) {
    // Gone meanwhile, or a threaded child (its threads belong to processes listed above it).
    const int error = text.error().sys_errno();
    if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP) return {};
    return std::unexpected(std::move(text).error());
  }
  for (const auto line : split(*text, '\n')) {
    // 0 stands for a process outside of the reader's pid namespace.
    const auto pid = parse_uint32(line);
    if (pid && *pid != 0) out.push_back(static_cast<pid_t>(*pid));
  }
  if (!recursive) return {};
  for (const auto& name : subdirectories(dir)) {
    const Fd child(::openat(dir, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (child) TRY(collect(child.get(), true, out));
  }
  return {};
}

Result<> remove_directory(const std::string& path, long long deadline) {
  for (unsigned pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT || errno == ENODEV) return {};
    const int error = errno;
    if (error != EBUSY && error != ENOTEMPTY) return fail_errno(concat("remove cgroup ", quote(path)), error);
    const Fd dir(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const auto children = dir ? subdirectories(dir.get()) : std::vector<std::string>();
    for (const auto& name : children) TRY(remove_directory(concat(path, '/', name), deadline));
    if (!children.empty() && ::rmdir(path.c_str()) == 0) return {};
    if (monotonic_nanos() > deadline) return fail_errno(concat("remove cgroup ", quote(path)), error);
    short_pause(pause);
  }
}

Result<> wait_frozen_v2(int dir) {
  TRY_ASSIGN(const Fd events, sys::open_at(dir, "cgroup.events", O_RDONLY));
  const long long deadline = monotonic_nanos() + kFreezeNanos;
  for (;;) {
    if (::lseek(events.get(), 0, SEEK_SET) < 0) return fail_errno("read cgroup.events");
    TRY_ASSIGN(const auto text, sys::read_all(events.get()));
    if (keyed_value(text, "frozen").value_or(0) == 1) return {};
    const long long left = deadline - monotonic_nanos();
    if (left <= 0) return fail(Code::kDeadlineExceeded, "freeze cgroup: tasks do not come to rest");
    pollfd wait{.fd = events.get(), .events = POLLPRI, .revents = 0};
    (void)::poll(&wait, 1, static_cast<int>(left / 1'000'000) + 1);
  }
}

Result<> wait_frozen_v1(int dir) {
  const long long deadline = monotonic_nanos() + kFreezeNanos;
  unsigned pause = kFirstPause;
  for (unsigned round = 1;; ++round) {
    TRY_ASSIGN(const auto text, sys::read_file_at(dir, "freezer.state"));
    if (trim(text) == "FROZEN") return {};
    if (monotonic_nanos() > deadline) return fail(Code::kDeadlineExceeded, "freeze cgroup: tasks do not come to rest");
    short_pause(pause);
    pause = std::min(pause * 2, kLongestPause);
    // A task forked at the wrong moment keeps the state at FREEZING for ever: let go and take hold again (trap 63).
    if (round % 16 == 0) {
      TRY(sys::write_file_at(dir, "freezer.state", "THAWED"));
      short_pause(pause);
    }
    TRY(sys::write_file_at(dir, "freezer.state", "FROZEN"));
  }
}

}  // namespace

Result<> Cgroup::freeze() const {
  const int held = dir("freezer");
  if (held < 0) return fail(Code::kUnimplemented, "freeze cgroup: the host has no freezer controller");
  TRY(sys::write_file_at(held, v2_ ? "cgroup.freeze" : "freezer.state", v2_ ? "1" : "FROZEN"), "freeze cgroup");
  auto frozen_now = v2_ ? wait_frozen_v2(held) : wait_frozen_v1(held);
  if (!frozen_now) (void)thaw();
  return frozen_now;
}

Result<> Cgroup::thaw() const {
  const int held = dir("freezer");
  if (held < 0) return {};
  auto written = sys::write_file_at(held, v2_ ? "cgroup.freeze" : "freezer.state", v2_ ? "0" : "THAWED");
  if (!written && written.error().sys_errno() == ENOENT) return {};
  if (!written) return std::unexpected(std::move(written).error().wrap("thaw cgroup"));
  return {};
}

bool Cgroup::frozen() const {
  const int held = dir("freezer");
  if (held < 0) return false;
  const auto text = sys::read_file_at(held, v2_ ? "cgroup.freeze" : "freezer.state");
  return text && (v2_ ? trim(*text) == "1" : trim(*text) != "THAWED");
}

Result<std::vector<pid_t>> Cgroup::processes(bool recursive) const {
  std::vector<pid_t> out;
  if (dirs_.empty()) return out;
  // Every v1 hierarchy has the same members; pids and memory are where nobody moves processes out of.
  const Directory* source = find("pids");
  if (source == nullptr) source = find("memory");
  if (source == nullptr) source = &dirs_.front();
  TRY(collect(source->fd.get(), recursive, out));
  std::ranges::sort(out);
  const auto doubled = std::ranges::unique(out);
  out.erase(doubled.begin(), doubled.end());
  return out;
}

namespace {

// Signals the listed processes by pidfd. A number is used only if it is still listed after its pidfd was opened: then
// the pidfd cannot be a recycled pid outside of the cgroup.
Result<size_t> signal_listed(const Cgroup& group, int signal) {
  TRY_ASSIGN(const auto before, group.processes());
  std::vector<std::pair<pid_t, Fd>> held;
  for (const pid_t pid : before) {
    if (auto pidfd = sys::open_pidfd(pid)) held.emplace_back(pid, std::move(*pidfd));
  }
  TRY_ASSIGN(const auto after, group.processes());
  for (const auto& [pid, pidfd] : held) {
    if (std::ranges::binary_search(after, pid)) (void)sys::send_signal(pidfd, signal);
  }
  return after.size();
}

}  // namespace

Result<> Cgroup::signal_all(int signal) const {
  if (dirs_.empty()) return {};
  if (signal != SIGKILL) {
    TRY(signal_listed(*this, signal));
    return {};
  }
  if (v2_) {
    auto killed = sys::write_file_at(dirs_.front().fd.get(), "cgroup.kill", "1");
    if (killed || killed.error().sys_errno() == ENODEV) return {};
    if (killed.error().sys_errno() != ENOENT) return std::unexpected(std::move(killed).error().wrap("kill cgroup"));
  }
  // A v1-frozen process does not even die of SIGKILL.
  TRY(thaw());
  const long long deadline = monotonic_nanos() + kKillNanos;
  unsigned pause = kFirstPause;
  for (unsigned round = 0;; ++round) {
    // Later rounds hold the cgroup still meanwhile, so that it cannot fork faster than it is killed.
    const bool hold = round >= 3 && freeze().has_value();
    auto left = signal_listed(*this, SIGKILL);
    if (hold) TRY(thaw());
    if (!left) return std::unexpected(std::move(left).error().wrap("kill cgroup"));
    if (*left == 0) return {};
    if (monotonic_nanos() > deadline) {
      return fail(Code::kDeadlineExceeded, concat("kill cgroup: ", *left, " process(es) do not end"));
    }
    short_pause(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

Result<> Cgroup::remove() {
  const long long deadline = monotonic_nanos() + kRemoveNanos;
  for (auto& directory : dirs_) directory.fd.reset();
  Result<> first;
  for (const auto& directory : dirs_) {
    auto removed = remove_directory(directory.path, deadline);
    if (!removed && first) first = std::move(removed);
  }
  dirs_.clear();
  return first;
}

}  // namespace berth::cgroup
