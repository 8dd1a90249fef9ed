// SPDX-License-Identifier: Apache-2.0
#include "agent/shims/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>

#include "agent/shims/wire.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "runtime/sys/socket.h"

namespace berth::shims {
namespace {

namespace json = boost::json;
constexpr milliseconds kSpawnDeadline{10'000};

// Pipes for the open streams without a descriptor of the caller's: ours go into the session, theirs are kept here until
// the request is sent.
struct StreamSetup {
  std::vector<Fd> theirs;
  std::vector<int> sent;
};

Result<> add_stream(StreamSetup& setup, bool open, int given, bool input, bool closed_is_null, Fd& ours) {
  if (given >= 0) {
    setup.sent.push_back(given);
    return {};
  }
  if (!open && !closed_is_null) return {};
  Fd their_end;
  if (open) {
    TRY_ASSIGN(auto pipe, sys::make_pipe());
    ours = std::move(input ? pipe.second : pipe.first);
    their_end = std::move(input ? pipe.first : pipe.second);
  } else {
    TRY_ASSIGN(their_end, sys::open_path("/dev/null", input ? O_RDONLY : O_WRONLY));
  }
  setup.sent.push_back(their_end.get());
  setup.theirs.push_back(std::move(their_end));
  return {};
}

json::object request_for(std::string_view op, const std::string& id) {
  json::object request;
  request["op"] = op;
  request["id"] = id;
  return request;
}

ContainerState container_state(const json::object& object) {
  ContainerState state;
  state.id = text_of(object, "id");
  state.status = text_of(object, "status");
  state.pid = static_cast<pid_t>(int_of(object, "pid"));
  state.start_time = static_cast<uint64_t>(int_of(object, "start_time"));
  state.started_at = int_of(object, "started_at");
  if (const auto* exit = object.if_contains("exit"); exit != nullptr) {
    if (auto record = shim::exit_record_from_json(json::serialize(*exit))) state.exit = std::move(*record);
  }
  if (const auto* cgroups = object.if_contains("cgroups"); cgroups != nullptr && cgroups->is_object()) {
    for (const auto& entry : cgroups->get_object()) {
      if (entry.value().is_string())
        state.cgroups[std::string(std::string_view(entry.key()))] = std::string_view(entry.value().get_string());
    }
  }
  return state;
}

// The last words of a shim that did not come up.
std::string last_words(const std::string& pod_dir) {
  auto log = sys::read_file(concat(pod_dir, "/shim.log"), 1u << 20);
  if (!log || log->empty()) return "no message";
  const std::string_view text = trim(*log);
  const size_t line = text.rfind('\n');
  return std::string(line == std::string_view::npos ? text : text.substr(line + 1));
}

// A shim that ended on its own is this process's zombie, if this process started it. The name guards against a pid that
// has become another child's.
void reap_ended(pid_t pid) {
  const auto stat = sys::read_file(concat("/proc/", pid, "/stat"), 4096);
  if (!stat || stat->find("(berth-shim) Z ") == std::string::npos) return;
  if (const auto pidfd = sys::open_pidfd(pid)) [[maybe_unused]]
    const auto reaped = sys::wait_child(*pidfd, false);
}

Result<> wait_ready(int pipe, const std::string& pod_dir) {
  std::string text;
  const Deadline deadline(kSpawnDeadline);
  while (true) {
    TRY(wait_readable(pipe, deadline, -1), "start shim");
    char chunk[4096];
    const ssize_t got = ::read(pipe, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(chunk, static_cast<size_t>(got));
  }
  if (text == "ok") return {};
  // The shim's own error comes as one JSON object; a shim that died says nothing.
  if (auto reply = parse_reply(text); !reply) return std::unexpected(std::move(reply).error().wrap("start shim"));
  return fail(Code::kUnavailable, concat("start shim: ended early: ", quote(last_words(pod_dir))));
}

}  // namespace

Result<ShimClient> ShimClient::spawn(const std::string& shim_path, const std::string& pod_dir,
                                     const shim::PodSettings& settings, const std::string& log_level) {
  TRY(sys::make_directories(pod_dir, 0700));
  TRY(sys::replace_file(concat(pod_dir, "/pod.json"), shim::to_json(settings), 0600, false));
  TRY_ASSIGN(auto ready, sys::make_pipe());
  sys::SpawnRequest request;
  request.argv = {shim_path, "--dir", pod_dir, "--log-level", log_level};
  request.env = std::vector<std::string>{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                         "BERTH_SHIM_READY=3"};
  request.fds = {{ready.second.get(), 3}};
  request.cwd = "/";
  request.new_session = true;
  TRY_ASSIGN(auto child, sys::spawn(request));
  ready.second.reset();
  if (auto up = wait_ready(ready.first.get(), pod_dir); !up) {
    const sys::ChildGuard killed(std::move(child.pidfd));
    return std::unexpected(std::move(up).error());
  }
  return connect(pod_dir);
}

Result<ShimClient> ShimClient::connect(const std::string& pod_dir) {
  TRY_ASSIGN(const auto text, sys::read_file(concat(pod_dir, "/shim.json"), 65536), "find shim");
  json::error_code error;
  const auto value = json::parse(text, error);
  if (error || !value.is_object())
    return fail(Code::kDataLoss, concat("find shim: ", quote(pod_dir), ": shim.json is no JSON object"));
  const auto& object = value.get_object();
  ShimClient client;
  client.dir_ = pod_dir;
  client.pid_ = static_cast<pid_t>(int_of(object, "pid"));
  client.start_time_ = static_cast<uint64_t>(int_of(object, "start_time"));
  client.pid_namespace_pid_ = static_cast<pid_t>(int_of(object, "pid_namespace_pid"));
  if (!client.alive())
    return fail(Code::kUnavailable, concat("shim ", client.pid_, " of ", quote(pod_dir), " has ended"));
  return client;
}

std::string ShimClient::namespace_path(const std::string& name) const {
  return concat("/proc/", name == "pid" ? pid_namespace_pid_ : pid_, "/ns/", name);
}

bool ShimClient::alive() const { return sys::process_is_alive(pid_, start_time_); }

Result<> ShimClient::hello(milliseconds deadline) const {
  json::object request;
  request["op"] = "hello";
  TRY(call(dir_, request, {}, deadline));
  return {};
}

Result<pid_t> ShimClient::create(const CreateOptions& options, milliseconds deadline) const {
  auto request = request_for("create", options.id);
  request["bundle"] = options.bundle;
  request["terminal"] = options.terminal;
  request["stdin"] = options.open_stdin;
  request["stdin_once"] = options.stdin_once;
  request["log_path"] = options.log_path;
  request["cgroup_driver"] = options.cgroup_driver;
  json::object rootfs;
  if (options.lower.empty()) {
    rootfs["path"] = options.rootfs_path;
  } else {
    json::array lower;
    for (const auto& layer : options.lower) lower.emplace_back(layer);
    rootfs["lower"] = std::move(lower);
    rootfs["upper"] = options.upper;
    rootfs["work"] = options.work;
  }
  request["rootfs"] = std::move(rootfs);
  TRY_ASSIGN(const auto reply, call(dir_, request, {}, deadline));
  return static_cast<pid_t>(int_of(reply.ok, "pid"));
}

Result<> ShimClient::start(const std::string& id, milliseconds deadline) const {
  TRY(call(dir_, request_for("start", id), {}, deadline));
  return {};
}

Result<> ShimClient::kill(const std::string& id, int signal, bool all, milliseconds deadline) const {
  auto request = request_for("kill", id);
  request["signal"] = signal;
  request["all"] = all;
  TRY(call(dir_, request, {}, deadline));
  return {};
}

Result<> ShimClient::remove(const std::string& id, bool force, milliseconds deadline) const {
  auto request = request_for("delete", id);
  request["force"] = force;
  TRY(call(dir_, request, {}, deadline));
  return {};
}

Result<std::vector<ContainerState>> ShimClient::list(milliseconds deadline) const {
  TRY_ASSIGN(const auto reply, call(dir_, request_for("state", ""), {}, deadline));
  std::vector<ContainerState> states;
  if (const auto* containers = reply.ok.if_contains("containers"); containers != nullptr && containers->is_array()) {
    for (const auto& entry : containers->get_array()) {
      if (entry.is_object()) states.push_back(container_state(entry.get_object()));
    }
  }
  return states;
}

Result<ContainerState> ShimClient::state(const std::string& id, milliseconds deadline) const {
  TRY_ASSIGN(const auto reply, call(dir_, request_for("state", id), {}, deadline));
  const auto* containers = reply.ok.if_contains("containers");
  if (containers == nullptr || !containers->is_array() || containers->get_array().empty() ||
      !containers->get_array()[0].is_object()) {
    return fail(Code::kNotFound, concat("container ", quote(id), " does not exist"));
  }
  return container_state(containers->get_array()[0].get_object());
}

Result<ShimSession> ShimClient::exec(const ExecCall& call_, milliseconds deadline) const {
  auto request = request_for("exec", call_.id);
  request["exec_id"] = call_.exec_id;
  auto process = call_.process;
  process.terminal = call_.terminal;
  json::error_code error;
  request["process"] = json::parse(oci::to_json(process), error);
  request["terminal"] = call_.terminal;
  request["timeout_ms"] = call_.timeout.count();
  ShimSession session;
  StreamSetup setup;
  if (!call_.terminal) {
    const auto& streams = call_.streams;
    TRY(add_stream(setup, streams.open_stdin, streams.stdin_fd, true, true, session.stdin_writer));
    TRY(add_stream(setup, streams.open_stdout, streams.stdout_fd, false, true, session.stdout_reader));
    TRY(add_stream(setup, streams.open_stderr, streams.stderr_fd, false, true, session.stderr_reader));
  }
  TRY_ASSIGN(auto reply, call(dir_, request, setup.sent, deadline));
  session.pid_ = static_cast<pid_t>(int_of(reply.ok, "pid"));
  if (call_.terminal) {
    if (reply.fds.empty()) return fail(Code::kInternal, "exec: the shim sent no terminal");
    session.terminal = std::move(reply.fds[0]);
  }
  session.connection_ = std::move(reply.connection);
  return session;
}

Result<> ShimClient::resize(const std::string& id, const std::string& exec_id, unsigned width, unsigned height,
                            milliseconds deadline) const {
  auto request = request_for("resize", id);
  request["exec_id"] = exec_id;
  request["width"] = width;
  request["height"] = height;
  TRY(call(dir_, request, {}, deadline));
  return {};
}

Result<ShimSession> ShimClient::attach(const std::string& id, const StreamOptions& streams, bool lossless,
                                       milliseconds deadline) const {
  auto request = request_for("attach", id);
  request["stdin"] = streams.open_stdin || streams.stdin_fd >= 0;
  request["stdout"] = streams.open_stdout || streams.stdout_fd >= 0;
  request["stderr"] = streams.open_stderr || streams.stderr_fd >= 0;
  request["lossless"] = lossless;
  ShimSession session;
  StreamSetup setup;
  TRY(add_stream(setup, streams.open_stdin, streams.stdin_fd, true, false, session.stdin_writer));
  TRY(add_stream(setup, streams.open_stdout, streams.stdout_fd, false, false, session.stdout_reader));
  TRY(add_stream(setup, streams.open_stderr, streams.stderr_fd, false, false, session.stderr_reader));
  // Subscribed before the streams are, so that the exit cannot fall between the two.
  TRY_ASSIGN(session.connection_, subscribe(dir_, request_for("wait", id)));
  TRY(call(dir_, request, setup.sent, deadline));
  return session;
}

Result<shim::ExitRecord> ShimSession::wait(std::optional<milliseconds> timeout, int stop) {
  return receive_exit(connection_.get(), timeout ? Deadline(*timeout) : Deadline(), stop);
}

Result<shim::ExitRecord> ShimClient::wait(const std::string& id, std::optional<milliseconds> timeout, int stop) const {
  TRY_ASSIGN(const auto connection, subscribe(dir_, request_for("wait", id)));
  return receive_exit(connection.get(), timeout ? Deadline(*timeout) : Deadline(), stop);
}

Result<> ShimClient::watch(const std::function<void(const ShimEvent&)>& on_event, int stop,
                           const std::function<void()>& on_ready) const {
  TRY_ASSIGN(auto reply, call(dir_, request_for("watch", ""), {}, milliseconds(3000)));
  if (on_ready) on_ready();
  while (true) {
    if (auto readable = wait_readable(reply.connection.get(), Deadline(), stop); !readable) {
      if (readable.error().code() == Code::kCancelled) return {};
      return std::unexpected(std::move(readable).error());
    }
    TRY_ASSIGN(const auto message, receive(reply.connection.get()));
    ShimEvent event;
    event.id = text_of(message.object, "id");
    const auto kind = text_of(message.object, "event");
    if (kind == "oom") {
      event.kind = ShimEvent::Kind::kOom;
    } else if (const auto* exit = message.object.if_contains("exit"); kind == "exit" && exit != nullptr) {
      TRY_ASSIGN(event.exit, shim::exit_record_from_json(json::serialize(*exit)));
    } else {
      continue;
    }
    on_event(event);
  }
}

Result<> ShimClient::reopen_log(const std::string& id, milliseconds deadline) const {
  TRY(call(dir_, request_for("reopen_log", id), {}, deadline));
  return {};
}

Result<Fd> ShimClient::dial(uint16_t port, milliseconds deadline) const {
  json::object request;
  request["op"] = "dial";
  request["port"] = port;
  TRY_ASSIGN(auto reply, call(dir_, request, {}, deadline));
  if (reply.fds.empty()) return fail(Code::kInternal, "dial: the shim sent no descriptor");
  return std::move(reply.fds[0]);
}

Result<> ShimClient::update(const std::string& id, const oci::Resources& resources, milliseconds deadline) const {
  auto request = request_for("update", id);
  json::error_code error;
  request["resources"] = json::parse(oci::to_json(resources), error);
  TRY(call(dir_, request, {}, deadline));
  return {};
}

Result<> ShimClient::stop(milliseconds deadline) const {
  const auto pidfd = sys::open_pidfd(pid_);
  if (!pidfd || !alive()) {
    reap_ended(pid_);
    return {};
  }
  const Deadline until(deadline);
  auto stopped = call(dir_, request_for("stop", ""), {}, deadline);
  if (!stopped && stopped.error().code() != Code::kUnavailable) return std::unexpected(std::move(stopped).error());
  TRY(sys::wait_ended(*pidfd, until.left_or(milliseconds(1000))), concat("stop shim ", pid_));
  // Reaps it when it is a child of this process; it is a stranger after a restart.
  [[maybe_unused]] const auto reaped = sys::wait_child(*pidfd, false);
  return {};
}

Result<shim::ExitRecord> ShimClient::read_exit(const std::string& pod_dir, const std::string& id) {
  TRY_ASSIGN(const auto text, sys::read_file(concat(pod_dir, "/containers/", id, "/exit.json"), 65536));
  return shim::exit_record_from_json(text);
}

}  // namespace berth::shims
