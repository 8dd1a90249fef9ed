// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/process_tree.h"

#include <unistd.h>

#include <csignal>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"

namespace berth::shim {
namespace {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  bool zombie = false;
};

std::vector<Process> all_processes() {
  std::vector<Process> found;
  const auto names = sys::list_directory("/proc");
  if (!names) return found;
  for (const auto& name : *names) {
    const auto pid = parse_uint32(name);
    if (!pid) continue;
    const auto stat = sys::read_file(concat("/proc/", name, "/stat"), 4096);
    const size_t close = stat ? stat->rfind(')') : std::string::npos;
    if (close == std::string::npos) continue;
    const auto fields = split(trim(std::string_view(*stat).substr(close + 1)), ' ');
    if (fields.size() < 4) continue;
    const auto number = [&](size_t i) { return static_cast<pid_t>(parse_int64(fields[i]).value_or(0)); };
    found.push_back({static_cast<pid_t>(*pid), number(1), number(2), number(3), fields[0] == "Z"});
  }
  return found;
}

// One look: what belongs to the tree now is added to `tree` and killed. True when something new was found.
bool kill_round(pid_t leader, std::set<pid_t>& tree) {
  const auto processes = all_processes();
  bool found = false;
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& process : processes) {
      if (process.pid == leader || process.pid == ::getpid() || tree.contains(process.pid)) continue;
      if (!tree.contains(process.parent) && !tree.contains(process.group) && !tree.contains(process.session)) continue;
      tree.insert(process.pid);
      grown = true;
      if (process.zombie) continue;
      found = true;
      if (const auto pidfd = sys::open_pidfd(process.pid)) [[maybe_unused]]
        const auto killed = sys::send_signal(*pidfd, SIGKILL);
    }
  }
  return found;
}

}  // namespace

void kill_tree(pid_t leader) {
  if (leader <= 1) return;
  std::set<pid_t> tree{leader};
  // Stopped first, so that it starts nothing new while its children are collected; killed last, since its end would
  // cut them off from it.
  ::kill(leader, SIGSTOP);
  for (int round = 0; round < 5 && kill_round(leader, tree); ++round) {
  }
  ::kill(leader, SIGKILL);
  kill_round(leader, tree);
}

}  // namespace berth::shim
