// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/signal_readiness.h"

#include <sys/stat.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

// The value of a line of /proc/<pid>/status, "" when there is none.
std::string field_of(std::string_view status, std::string_view name) {
  const size_t at = status.find(concat("\n", name, ":"));
  if (at == std::string_view::npos) return "";
  const size_t begin = at + name.size() + 2;
  return std::string(status.substr(begin, status.find('\n', begin) - begin));
}

bool has_signal(std::string_view status, std::string_view name, int signal) {
  const unsigned long long mask = std::strtoull(field_of(status, name).c_str(), nullptr, 16);
  return ((mask >> unsigned(signal - 1)) & 1u) != 0;
}

// Between fork and execve: the program is still its parent's. What that blocks and catches is not the container's.
bool before_exec(pid_t pid, std::string_view status) {
  const auto parent = parse_int64(trim(field_of(status, "PPid")));
  struct stat ours = {};
  struct stat parents = {};
  return parent && *parent > 0 && ::stat(concat("/proc/", pid, "/exe").c_str(), &ours) == 0 &&
         ::stat(concat("/proc/", *parent, "/exe").c_str(), &parents) == 0 && ours.st_dev == parents.st_dev &&
         ours.st_ino == parents.st_ino;
}

bool would_be_dropped(pid_t pid, int signal) {
  const auto status = sys::read_file(concat("/proc/", pid, "/status"));
  if (!status) return false;
  if (before_exec(pid, *status)) return true;
  const std::string pids = field_of(*status, "NSpid");
  const bool first = pids.size() > 2 && pids.ends_with("\t1") && pids.find('\t') != pids.rfind('\t');
  if (!first) return false;
  for (const std::string_view name : {"SigCgt", "SigBlk", "SigIgn"}) {
    if (has_signal(*status, name, signal)) return false;
  }
  return true;
}

}  // namespace

void wait_until_noticed(pid_t pid, int signal, std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds kStep{5};
  if (pid <= 0 || signal < 1 || signal > 64) return;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (would_be_dropped(pid, signal) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kStep);
  }
}

}  // namespace berth::pods
