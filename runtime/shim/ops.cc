// SPDX-License-Identifier: Apache-2.0
// The operations of protocol.h, one function each, in the header's order.
#include <unistd.h>

#include <csignal>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/shim/dial.h"
#include "runtime/shim/json_fields.h"
#include "runtime/shim/shim.h"
#include "runtime/sys/process.h"

namespace berth::shim {
namespace {

boost::json::value as_json(const ExitRecord& record) {
  boost::json::error_code error;
  return boost::json::parse(to_json(record), error);
}

Result<ContainerSettings> container_settings(const boost::json::object& request) {
  ContainerSettings settings;
  settings.id = text_field(request, "id");
  settings.bundle = text_field(request, "bundle");
  settings.terminal = bool_field(request, "terminal");
  settings.open_stdin = bool_field(request, "stdin");
  settings.stdin_once = bool_field(request, "stdin_once");
  settings.log_path = text_field(request, "log_path");
  const auto driver = text_field(request, "cgroup_driver");
  if (driver == "systemd")
    settings.driver = container::CgroupDriver::kSystemd;
  else if (!driver.empty() && driver != "cgroupfs")
    return fail(Code::kInvalidArgument, concat("cgroup driver ", quote(driver), " is not known"));
  if (settings.bundle.empty() || settings.bundle[0] != '/')
    return fail(Code::kInvalidArgument, "bundle: must be an absolute path");
  if (const auto* rootfs = object_field(request, "rootfs")) {
    settings.rootfs_path = text_field(*rootfs, "path");
    settings.layers.upper = text_field(*rootfs, "upper");
    settings.layers.work = text_field(*rootfs, "work");
    if (const auto* lower = rootfs->if_contains("lower"); lower != nullptr && lower->is_array()) {
      for (const auto& layer : lower->get_array()) {
        if (!layer.is_string()) return fail(Code::kInvalidArgument, "rootfs.lower: must be strings");
        settings.layers.lower.emplace_back(std::string_view(layer.get_string()));
      }
    }
  }
  return settings;
}

}  // namespace

Result<> Shim::hello(ConnectionId connection, const Object&, std::vector<Fd>) {
  Object ok;
  ok["version"] = kProtocolVersion;
  ok["pid"] = ::getpid();
  server_.reply(connection, std::move(ok));
  return {};
}

Result<> Shim::create(ConnectionId connection, const Object& request, std::vector<Fd>) {
  TRY_ASSIGN(auto settings, container_settings(request));
  const std::string id = settings.id;
  if (containers_.contains(id)) return fail(Code::kAlreadyExists, "container exists");
  Container::Observer observer;
  observer.on_exit = [this, id](const ExitRecord& record) { on_exit(id, record); };
  observer.on_oom = [this, id] {
    Object event;
    event["event"] = "oom";
    event["id"] = id;
    broadcast(event);
  };
  TRY_ASSIGN(auto made, Container::create(loop_, dir_, std::move(settings), std::move(observer)));
  Object ok;
  ok["pid"] = made->pid();
  containers_[id] = std::move(made);
  server_.reply(connection, std::move(ok));
  return {};
}

Result<> Shim::start(ConnectionId connection, const Object& request, std::vector<Fd>) {
  TRY_ASSIGN(auto* container, find(request));
  TRY(container->start());
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::kill(ConnectionId connection, const Object& request, std::vector<Fd>) {
  TRY_ASSIGN(auto* container, find(request));
  TRY(container->kill(static_cast<int>(int_field(request, "signal", SIGTERM)), bool_field(request, "all")));
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::remove(ConnectionId connection, const Object& request, std::vector<Fd>) {
  auto found = find(request);
  if (!found && bool_field(request, "force")) {
    server_.reply(connection, Object());
    return {};
  }
  TRY_ASSIGN(auto* container, std::move(found));
  TRY(container->remove(bool_field(request, "force")));
  containers_.erase(container->id());
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::state(ConnectionId connection, const Object& request, std::vector<Fd>) {
  const auto wanted = text_field(request, "id");
  if (!wanted.empty()) TRY(find(request));
  boost::json::array list;
  for (const auto& [id, container] : containers_) {
    if (!wanted.empty() && wanted != id) continue;
    Object entry;
    entry["id"] = id;
    entry["status"] = container->status();
    entry["pid"] = container->exit() ? 0 : container->pid();
    entry["start_time"] = container->start_time();
    entry["started_at"] = container->started_at();
    if (container->exit()) entry["exit"] = as_json(*container->exit());
    Object cgroups;
    for (const auto& [name, path] : container->cgroups()) cgroups[name] = path;
    entry["cgroups"] = std::move(cgroups);
    list.emplace_back(std::move(entry));
  }
  Object ok;
  ok["containers"] = std::move(list);
  server_.reply(connection, std::move(ok));
  return {};
}

Result<> Shim::exec(ConnectionId connection, const Object& request, std::vector<Fd> fds) {
  TRY_ASSIGN(auto* container, find(request));
  ExecSettings settings;
  settings.exec_id = text_field(request, "exec_id");
  settings.terminal = bool_field(request, "terminal");
  settings.timeout = std::chrono::milliseconds(int_field(request, "timeout_ms"));
  if (const auto* process = request.if_contains("process")) settings.process = boost::json::serialize(*process);
  TRY_ASSIGN(auto started, container->exec(settings, std::move(fds), [this, connection](const ExitRecord& record) {
    Object message;
    message["exit"] = as_json(record);
    server_.send(connection, message);
  }));
  Object ok;
  ok["pid"] = started.pid;
  std::vector<Fd> sent;
  if (started.terminal) sent.push_back(std::move(started.terminal));
  server_.reply(connection, std::move(ok), std::move(sent));
  return {};
}

Result<> Shim::resize(ConnectionId connection, const Object& request, std::vector<Fd>) {
  TRY_ASSIGN(auto* container, find(request));
  const auto width = int_field(request, "width");
  const auto height = int_field(request, "height");
  if (width < 0 || width > UINT16_MAX || height < 0 || height > UINT16_MAX)
    return fail(Code::kInvalidArgument, "size out of range");
  TRY(container->resize(text_field(request, "exec_id"), static_cast<uint16_t>(width), static_cast<uint16_t>(height)));
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::attach(ConnectionId connection, const Object& request, std::vector<Fd> fds) {
  TRY_ASSIGN(auto* container, find(request));
  AttachSettings settings;
  settings.in = bool_field(request, "stdin");
  settings.out = bool_field(request, "stdout");
  settings.err = bool_field(request, "stderr");
  settings.lossless = bool_field(request, "lossless");
  TRY(container->attach(settings, std::move(fds)));
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::wait(ConnectionId connection, const Object& request, std::vector<Fd>) {
  TRY_ASSIGN(auto* container, find(request));
  if (!container->exit()) {
    waiters_[container->id()].insert(connection);
    return {};
  }
  Object message;
  message["exit"] = as_json(*container->exit());
  server_.send(connection, message);
  return {};
}

Result<> Shim::watch(ConnectionId connection, const Object&, std::vector<Fd>) {
  watchers_.insert(connection);
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::reopen_log(ConnectionId connection, const Object& request, std::vector<Fd>) {
  TRY_ASSIGN(auto* container, find(request));
  TRY(container->reopen_log());
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::dial(ConnectionId connection, const Object& request, std::vector<Fd>) {
  const auto port = int_field(request, "port");
  if (port < 1 || port > UINT16_MAX) return fail(Code::kInvalidArgument, concat("port ", port, " is out of range"));
  dial_localhost(loop_, static_cast<uint16_t>(port), [this, connection](Result<Fd> made) {
    if (!made) return server_.reply(connection, made.error());
    std::vector<Fd> fds;
    fds.push_back(std::move(*made));
    server_.reply(connection, Object(), std::move(fds));
  });
  return {};
}

Result<> Shim::update(ConnectionId connection, const Object& request, std::vector<Fd>) {
  TRY_ASSIGN(auto* container, find(request));
  const auto* resources = request.if_contains("resources");
  if (resources == nullptr) return fail(Code::kInvalidArgument, "resources: is missing");
  TRY(container->update(boost::json::serialize(*resources)));
  server_.reply(connection, Object());
  return {};
}

Result<> Shim::stop(ConnectionId connection, const Object&, std::vector<Fd>) {
  // All of them are tried, so that one that cannot be removed does not keep the others.
  Result<> result;
  std::vector<std::string> removed;
  for (const auto& [id, container] : containers_) {
    if (auto done = container->remove(true); done)
      removed.push_back(id);
    else
      result = std::move(done);
  }
  for (const auto& id : removed) containers_.erase(id);
  TRY(std::move(result));
  TRY(unmount_shm(dir_));
  if (init_.pidfd) {
    [[maybe_unused]] const auto killed = sys::send_signal(init_.pidfd, SIGKILL);
    [[maybe_unused]] const auto reaped = sys::wait_child(init_.pidfd, true);
    init_ = PodInit();
  }
  ::unlink(concat(dir_, "/shim.sock").c_str());
  ::unlink(concat(dir_, "/shim.json").c_str());
  server_.reply(connection, Object());
  loop_.quit();
  return {};
}

}  // namespace berth::shim
