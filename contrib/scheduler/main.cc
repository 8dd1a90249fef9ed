// SPDX-License-Identifier: Apache-2.0
// berth-scheduler --listen ADDRESS --store FILE [--heartbeat-interval MS]
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "agent/scheduler/address.h"
#include "contrib/scheduler/registry.h"
#include "contrib/scheduler/service.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::scheduler {
namespace {

constexpr const char* kUsage =
    "Usage: berth-scheduler --listen unix:///PATH|HOST:PORT --store FILE [OPTIONS]\n"
    "\n"
    "Receives the reports of nodes and answers `berth node` and `berth fit`.\n"
    "\n"
    "Options:\n"
    "  --listen ADDRESS            where nodes and operators connect (default unix:///run/berth/scheduler.sock)\n"
    "  --store FILE                SQLite file with nodes, containers and events\n"
    "  --heartbeat-interval MS     what nodes are told (default 5000); a lease lasts three of them\n"
    "  --log-level LEVEL           error, warn, info or debug (default info)\n"
    "  --help                      this text\n";

struct Options {
  std::string listen = kDefaultAddress;
  std::string store;
  uint32_t heartbeat_ms = 5000;
  bool help = false;
};

Result<> set_option(Options& options, const std::string& name, const std::string& value) {
  if (name == "--listen") {
    TRY(check_address(value, true), "--listen");
    options.listen = value;
  } else if (name == "--store") {
    options.store = value;
  } else if (name == "--heartbeat-interval") {
    const auto ms = parse_uint32(value);
    if (!ms || *ms < 10 || *ms > 600'000) {
      return fail(Code::kInvalidArgument, concat("--heartbeat-interval ", quote(value), ": expected milliseconds from 10 to 600000"));
    }
    options.heartbeat_ms = *ms;
  } else {
    LogLevel level = LogLevel::kInfo;
    if (!parse_log_level(value, level)) return fail(Code::kInvalidArgument, concat("--log-level ", quote(value), ": expected error, warn, info or debug"));
    set_log_level(level);
  }
  return {};
}

Result<Options> parse(const std::vector<std::string>& args) {
  Options options;
  for (size_t i = 0; i < args.size(); ++i) {
    std::string name = args[i];
    if (name == "--help" || name == "-h") {
      options.help = true;
      return options;
    }
    std::string value;
    const auto equals = name.find('=');
    const bool joined = equals != std::string::npos;
    if (joined) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (name != "--listen" && name != "--store" && name != "--heartbeat-interval" && name != "--log-level") {
      return fail(Code::kInvalidArgument, concat("unknown argument ", quote(args[i])));
    }
    if (!joined) {
      if (i + 1 == args.size()) return fail(Code::kInvalidArgument, concat(name, " needs a value"));
      value = args[++i];
    }
    TRY(set_option(options, name, value));
  }
  if (options.store.empty()) return fail(Code::kInvalidArgument, "--store FILE is required");
  return options;
}

Result<> serve(const Options& options) {
  const std::string path = unix_path(options.listen);
  if (!path.empty()) TRY(sys::make_directories(path.substr(0, std::max<size_t>(path.rfind('/'), 1)), 0755));
  RegistryConfig config;
  config.times.heartbeat = int64_t{options.heartbeat_ms} * 1'000'000;
  config.times.ttl = 3 * config.times.heartbeat;
  TRY_ASSIGN(auto registry, Registry::open(options.store, config, monotonic_nanos()));
  TRY_ASSIGN(auto server, Server::start(options.listen, std::shared_ptr<Registry>(std::move(registry))));
  log_info("scheduler listens", {{"address", options.listen}, {"port", server->port()}, {"store", options.store}});
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  int signal = 0;
  sigwait(&signals, &signal);
  log_info("scheduler stops", {{"signal", signal}});
  server->stop();
  return {};
}

int run(const std::vector<std::string>& args) {
  const auto options = parse(args);
  if (!options) {
    std::fprintf(stderr, "berth-scheduler: %s\nTry 'berth-scheduler --help'.\n", options.error().message().c_str());
    return 2;
  }
  if (options->help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (const auto served = serve(*options); !served) {
    std::fprintf(stderr, "berth-scheduler: %s\n", served.error().message().c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace berth::scheduler

int main(int argc, char** argv) {
  // Blocked before any thread exists, so that sigwait gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return berth::scheduler::run({argv + 1, argv + argc});
}
