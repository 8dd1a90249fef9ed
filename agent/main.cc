// SPDX-License-Identifier: Apache-2.0
// berthd: puts the parts together, serves until SIGTERM, leaves the pods running.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>

#include "agent/accounting/capacity.h"
#include "agent/config.h"
#include "agent/event_hub.h"
#include "agent/image_service.h"
#include "agent/pods/engine.h"
#include "agent/runtime_service.h"
#include "agent/scheduler/reporter.h"
#include "agent/streaming/server.h"
#include "agent/version.h"
#include "cri/server.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::agent {
namespace {

constexpr std::chrono::seconds kShutdownGrace{5};

Result<Fd> lock_state(const std::string& state) {
  TRY(sys::make_directories(state));
  const std::string path = state + "/berthd.lock";
  TRY_ASSIGN(Fd file, sys::open_path(path, O_RDWR | O_CREAT, 0600));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail(Code::kAlreadyExists, concat("another berthd uses ", quote(state)));
    return fail_errno(concat("lock ", quote(path)));
  }
  return file;
}

pods::EngineConfig engine_config(const Config& config) {
  pods::EngineConfig engine;
  engine.root = config.root;
  engine.state = config.state;
  engine.shim_path = config.shim_path;
  engine.cgroup_driver = config.cgroup_driver;
  engine.network = config.network;
  engine.cni_conf_dir = config.cni_conf_dir;
  engine.cni_bin_dir = config.cni_bin_dir;
  return engine;
}

Result<std::unique_ptr<scheduler::Reporter>> open_reporter(const Config& config, pods::Engine& engine) {
  if (config.scheduler.empty()) return nullptr;
  accounting::CapacityConfig capacity;
  capacity.root = config.root;
  capacity.system_reserved = config.system_reserved;
  scheduler::Reporter::Config reporter;
  reporter.address = config.scheduler;
  reporter.root = config.root;
  reporter.node_name = config.node_name;
  reporter.version = kVersion;
  reporter.labels = config.node_labels;
  TRY_ASSIGN(reporter.capacity, accounting::read_capacity(capacity));
  reporter.lookup = [&engine](const std::string& id) { return scheduler::container_of(engine, id); };
  reporter.on_fence = [&engine](const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
      if (const auto stopped = engine.stop_container(id, std::chrono::seconds(10)); !stopped) {
        log_error("fenced container not stopped", {{"container", id}, {"error", stopped.error().message()}});
      }
    }
  };
  return scheduler::Reporter::open(std::move(reporter));
}

// Blocks until somebody asks us to end; the signals are blocked in every thread. `every_while` is called now and then.
void wait_for_end(const sigset_t& signals, const std::function<void()>& every_while) {
  constexpr struct timespec kWhile{10, 0};
  int signal = -1;
  while (signal < 0) {
    signal = ::sigtimedwait(&signals, nullptr, &kWhile);
    if (signal < 0 && errno == EAGAIN) every_while();
  }
  log_info("berthd is ending", {{"signal", signal}});
}

Result<> serve(const Config& config, const sigset_t& signals) {
  TRY_ASSIGN(const Fd lock, lock_state(config.state));
  TRY_ASSIGN(std::unique_ptr<rootfs::Images> opened, rootfs::Images::open({config.root, config.registry_config_dir}),
             "images");
  const std::shared_ptr<rootfs::Images> images = std::move(opened);
  TRY_ASSIGN(const std::unique_ptr<pods::Engine> engine, pods::Engine::open(engine_config(config), images, true),
             "pods");
  EventHub events;
  TRY_ASSIGN(const std::unique_ptr<scheduler::Reporter> reporter, open_reporter(config, *engine), "scheduler");
  engine->on_event([&](const pods::LifecycleEvent& event) {
    events.publish(*engine, event);
    if (reporter != nullptr) reporter->lifecycle(event);
  });
  const auto report_readiness = [&] {
    if (reporter == nullptr) return;
    const std::string problem = engine->network_problem();
    reporter->set_ready(problem.empty(), problem);
  };
  if (reporter != nullptr) {
    reporter->set_containers(scheduler::containers_of(*engine));
    report_readiness();
    reporter->start();
  }
  streaming::ServerConfig streaming_config;
  streaming_config.address = config.streaming_address;
  streaming_config.port = config.streaming_port;
  TRY_ASSIGN(const std::unique_ptr<streaming::Server> streaming, streaming::Server::start(streaming_config, *engine),
             "streaming");
  RuntimeService runtime_service(*engine, *streaming, events, config.state);
  if (reporter != nullptr) {
    runtime_service.on_resize([&](const std::string& id) {
      if (const auto info = scheduler::container_of(*engine, id)) reporter->set_container(*info);
    });
  }
  ImageService image_service(*images);
  cri::ServerConfig server_config;
  server_config.listen = config.listen;
  TRY_ASSIGN(const std::unique_ptr<cri::Server> server,
             cri::Server::start(server_config, runtime_service, image_service), "cri");
  if (!config.nri_socket.empty()) log_warn("NRI plugins are not served by this version", {{"nri_socket", config.nri_socket}});
  log_info(
      "berthd is serving",
      {{"version", kVersion}, {"listen", join(config.listen, ",")}, {"root", config.root}, {"state", config.state}});
  wait_for_end(signals, report_readiness);
  events.close();
  server->shutdown(kShutdownGrace);
  engine->on_event({});
  if (reporter != nullptr) reporter->stop();
  return {};
}

int run(int argc, char** argv) {
  auto invocation = parse_invocation(std::vector<std::string>(argv + 1, argv + argc));
  if (!invocation) {
    std::fprintf(stderr, "berthd: %s\n", invocation.error().message().c_str());
    return 2;
  }
  if (!invocation->run) {
    std::fputs(invocation->text.c_str(), stdout);
    return invocation->exit_code;
  }
  LogLevel level = LogLevel::kInfo;
  parse_log_level(invocation->config.log_level, level);
  set_log_level(level);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto result = serve(invocation->config, signals);
  if (result) return 0;
  log_error("berthd cannot run", {{"error", result.error().message()}});
  return 1;
}

}  // namespace
}  // namespace berth::agent

int main(int argc, char** argv) { return berth::agent::run(argc, argv); }
