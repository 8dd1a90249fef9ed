// SPDX-License-Identifier: Apache-2.0
// version, info.
#include "agent/version.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "agent/cli/containers.h"
#include "agent/cli/options.h"
#include "agent/cli/units.h"
#include "agent/cli/verbs.h"

namespace berth::cli {

int version_command(Context&, Args args) {
  Flags flags("version", "", "Prints the version.");
  std::vector<std::string> none;
  flags.operands(none, 0, 0);
  if (const auto status = flags.parse(std::move(args))) return *status;
  std::printf("berth version %s\n", agent::kVersion);
  return 0;
}

int info_command(Context& context, Args args) {
  Flags flags("info", "", "Prints what this machine and its stores hold.");
  std::vector<std::string> none;
  flags.operands(none, 0, 0);
  if (const auto status = flags.parse(std::move(args))) return *status;
  auto engine = context.engine();
  if (!engine) return report(engine.error().message());
  const auto images = context.images();
  const auto listed = (*engine)->list_containers({});
  if (!listed) return report(listed.error().message());
  const auto stored = (*images)->list();
  if (!stored) return report(stored.error().message());
  int running = 0;
  for (const v1::Container& container : listed->containers())
    running += container.state() == v1::CONTAINER_RUNNING ? 1 : 0;
  utsname host{};
  ::uname(&host);
  const std::string problem = (*engine)->network_problem();
  std::printf("Containers: %d\n Running: %d\n Stopped: %d\nImages: %zu\n", listed->containers_size(), running,
              listed->containers_size() - running, stored->size());
  std::printf("Version: %s\nCgroup driver: %s\nNetwork: %s\n", agent::kVersion, (*engine)->cgroup_driver().c_str(),
              problem.empty() ? "ready" : problem.c_str());
  std::printf("Kernel version: %s\nArchitecture: %s\nCPUs: %u\n", host.release, host.machine,
              std::thread::hardware_concurrency());
  std::printf("Total memory: %s\n",
              human_size(static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE)).c_str());
  std::printf("Name: %s\nRoot directory: %s\nState directory: %s\n", host.nodename, context.globals().root.c_str(),
              context.globals().state.c_str());
  return 0;
}

}  // namespace berth::cli
