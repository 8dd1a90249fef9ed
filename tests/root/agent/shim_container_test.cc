// SPDX-License-Identifier: Apache-2.0
// Containers under berth-shim: logs, exits, attachments, and what they leave behind.
#include "tests/root/agent/shim_pod.h"

using namespace shim_test;

TEST_CASE("a container's output and exit code are recorded", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh", "-c", "echo out; echo err >&2; printf tail; exit 7"});
  const auto exit = pod->wait("c1", 10s);
  REQUIRE(exit);
  CHECK(exit->code == 7);
  CHECK(exit->signal == 0);
  CHECK_FALSE(exit->oom);
  CHECK(exit->started_at > 0);
  CHECK(exit->finished_at > exit->started_at);
  const auto lines = pod.log("c1");
  REQUIRE(lines.size() == 3);
  CHECK(std::count_if(lines.begin(), lines.end(),
                      [](auto& l) { return l.stream == "stdout" && l.tag == "F" && l.content == "out"; }) == 1);
  CHECK(std::count_if(lines.begin(), lines.end(),
                      [](auto& l) { return l.stream == "stderr" && l.tag == "F" && l.content == "err"; }) == 1);
  CHECK(std::count_if(lines.begin(), lines.end(),
                      [](auto& l) { return l.stream == "stdout" && l.tag == "P" && l.content == "tail"; }) == 1);
  const auto kept = ShimClient::read_exit(pod.pod_dir(), "c1");
  REQUIRE(kept);
  CHECK(kept->code == 7);
  const auto state = pod->state("c1");
  REQUIRE(state);
  CHECK(state->status == "stopped");
  REQUIRE(state->exit);
  CHECK(state->exit->code == 7);
}

TEST_CASE("the uppermost layer wins and writes go to the upper directory", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh", "-c", "cat /etc/layer; echo new > /etc/written"});
  REQUIRE(pod->wait("c1", 10s));
  REQUIRE(pod.log("c1").size() == 1);
  CHECK(pod.log("c1")[0].content == "top");
  CHECK(sys::path_exists(pod.dir() + "/c1-upper/etc/written"));
  CHECK_FALSE(sys::path_exists(pod.dir() + "/layer/etc/written"));
  CHECK(sys::read_file("/proc/self/mountinfo")->find(pod.dir() + "/c1") == std::string::npos);
}

TEST_CASE("a container ended by a signal has 128 plus the signal", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  CHECK(pod->state("c1")->status == "running");
  REQUIRE(pod->kill("c1", SIGKILL, false));
  const auto exit = pod->wait("c1", 10s);
  REQUIRE(exit);
  CHECK(exit->code == 137);
  CHECK(exit->signal == SIGKILL);
  CHECK_FALSE(exit->oom);
  CHECK_FALSE(pod->kill("c1", SIGTERM, false));
}

TEST_CASE("signals keep their meaning in a container", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh", "-c", "trap 'echo got; exit 3' TERM; echo ready; while true; do sleep 0.05; done"});
  REQUIRE(holds([&] { return !pod.log("c1").empty(); }));
  REQUIRE(pod->kill("c1", SIGTERM, false));
  const auto exit = pod->wait("c1", 10s);
  REQUIRE(exit);
  CHECK(exit->code == 3);
  // A pipeline's writer ends by SIGPIPE: nothing of the shim's own handling is inherited.
  pod.run("c2", {"cat", "/proc/self/status"});
  REQUIRE(pod->wait("c2", 10s));
  const auto lines = pod.log("c2");
  for (const auto& line : lines) {
    if (line.content.starts_with("SigIgn:") || line.content.starts_with("SigBlk:"))
      CHECK(line.content.substr(8) == "0000000000000000");
  }
}

TEST_CASE("a command that does not exist is a start error and leaves a record", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  const auto made = pod.create("c1", pod.spec("c1", {"/no/such/thing"}));
  if (made) {
    const auto started = pod->start("c1");
    REQUIRE_FALSE(started);
    CHECK(started.error().message().find("no/such/thing") != std::string::npos);
    const auto exit = pod->wait("c1", 10s);
    REQUIRE(exit);
    CHECK(exit->code != 0);
    CHECK(exit->reason == "StartError");
    CHECK(exit->started_at == 0);
  }
  CHECK(pod->remove("c1", true));
}

TEST_CASE("a container killed for memory says oom and the shim lives", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  Fd never, stop;
  {
    auto pipe = *sys::make_pipe();
    never = std::move(pipe.first);
    stop = std::move(pipe.second);
  }
  std::atomic<int> ooms = 0, exits = 0;
  std::atomic<bool> ready = false;
  std::thread watcher([&] {
    [[maybe_unused]] const auto watched = pod->watch(
        [&](const shims::ShimEvent& event) { (event.kind == shims::ShimEvent::Kind::kOom ? ooms : exits)++; },
        never.get(), [&] { ready = true; });
  });
  CHECK(holds([&] { return ready.load(); }));
  auto config = pod.spec("c1", {"sh", "-c", "exec tail -c 200000000 /dev/zero"});
  config.mounts.push_back({"/dev/zero", "bind", "/dev/zero", {"bind"}, {}, {}});
  config.linux_.resources.emplace();
  config.linux_.resources->memory.emplace();
  config.linux_.resources->memory->limit = 16 << 20;
  const auto made = pod.create("c1", config);
  if (!made) WARN(made.error().message());
  CHECK(made.has_value());
  CHECK(pod->start("c1"));
  const auto exit = pod->wait("c1", 20s);
  CHECK(exit.has_value());
  if (exit) {
    CHECK(exit->code == 137);
    CHECK(exit->oom);
  }
  CHECK(holds([&] { return ooms == 1 && exits == 1; }));
  CHECK(pod->hello());
  stop.reset();
  watcher.join();
}

TEST_CASE("a line longer than 16 KiB is split and joins again", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh", "-c", "yes abcdefg | head -c 40000 | tr '\\n' '-'; echo; echo end"});
  REQUIRE(pod->wait("c1", 10s));
  const auto lines = pod.log("c1");
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].tag == "P");
  CHECK(lines[0].content.size() == 16384);
  CHECK(lines[1].tag == "P");
  CHECK(lines[2].tag == "F");
  CHECK(lines[0].content.size() + lines[1].content.size() + lines[2].content.size() == 40000);
  CHECK(lines[3].content == "end");
}

TEST_CASE("a megabyte of output just before the end is all in the log", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"seq", "1", "150000"});
  REQUIRE(pod->wait("c1", 20s));
  const auto lines = pod.log("c1");
  REQUIRE(lines.size() == 150000);
  CHECK(lines.front().content == "1");
  CHECK(lines.back().content == "150000");
}

TEST_CASE("reopening the log while lines come loses and tears none", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line$i; i=$((i+1)); done"});
  std::vector<std::string> parts;
  for (int i = 0; i < 5; ++i) {
    parts.push_back(concat(pod.log_path("c1"), ".", i));
    REQUIRE(::rename(pod.log_path("c1").c_str(), parts.back().c_str()) == 0);
    if (!pod->reopen_log("c1")) break;  // it has ended already
    CHECK(sys::path_exists(pod.log_path("c1")));
    std::this_thread::sleep_for(10ms);
  }
  REQUIRE(pod->wait("c1", 20s));
  std::string all;
  for (const auto& part : parts) all += *sys::read_file(part);
  if (const auto rest = sys::read_file(pod.log_path("c1"))) all += *rest;
  int expected = 0;
  for (const auto line : split(trim(all), '\n')) {
    if (!line.ends_with(concat(" stdout F line", expected))) FAIL("torn or lost: " << line);
    ++expected;
  }
  CHECK(expected == 20000);
  const auto reopened = pod->reopen_log("c1");
  REQUIRE_FALSE(reopened);
  CHECK(reopened.error().code() == Code::kFailedPrecondition);
}

TEST_CASE("attachments see what comes from then on, all of them", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh"}, [](auto& options) { options.open_stdin = true; });
  shims::StreamOptions streams;
  streams.open_stdin = true;
  auto first = pod->attach("c1", streams);
  REQUIRE(first);
  streams.open_stdin = false;
  auto second = pod->attach("c1", streams);
  REQUIRE(second);
  REQUIRE(sys::write_all(first->stdin_writer.get(), "echo hello; echo bad >&2\n"));
  CHECK(read_until(first->stdout_reader.get(), "hello\n") == "hello\n");
  CHECK(read_until(second->stdout_reader.get(), "hello\n") == "hello\n");
  CHECK(read_until(first->stderr_reader.get(), "bad\n") == "bad\n");
  second = shims::ShimSession();  // one leaves, the other stays
  REQUIRE(sys::write_all(first->stdin_writer.get(), "echo again; exit 4\n"));
  CHECK(read_to_end(first->stdout_reader.get()) == "again\n");
  const auto exit = first->wait(10s);
  REQUIRE(exit);
  CHECK(exit->code == 4);
  CHECK(pod.log("c1").size() == 3);
}

TEST_CASE("stdin stays open after a detach, and closes after the first with stdin_once", "[shim][root]") {
  NEEDS_RUNTIME;
  const bool once = GENERATE(false, true);
  Pod pod;
  pod.run("c1", {"cat"}, [once](auto& options) {
    options.open_stdin = true;
    options.stdin_once = once;
  });
  shims::StreamOptions streams;
  streams.open_stdin = true;
  auto first = pod->attach("c1", streams);
  REQUIRE(first);
  REQUIRE(sys::write_all(first->stdin_writer.get(), "one\n"));
  first->stdin_writer.reset();
  if (once) {
    const auto exit = pod->wait("c1", 10s);
    REQUIRE(exit);
    CHECK(exit->code == 0);
    CHECK(read_to_end(first->stdout_reader.get()) == "one\n");
    return;
  }
  CHECK(read_until(first->stdout_reader.get(), "one\n") == "one\n");
  auto second = pod->attach("c1", streams);
  REQUIRE(second);
  REQUIRE(sys::write_all(second->stdin_writer.get(), "two\n"));
  CHECK(read_until(second->stdout_reader.get(), "two\n") == "two\n");
  CHECK(pod->state("c1")->status == "running");
}

TEST_CASE("a reader that does not read holds up neither the container nor another reader", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1",
          {"sh", "-c",
           "while test ! -e /go; do sleep 0.02; done; yes abcdefghijklmnopqrstuvwxyz | head -n 200000; echo done"});
  shims::StreamOptions streams;
  streams.open_stderr = false;
  const auto sleeper = pod->attach("c1", streams);
  REQUIRE(sleeper);
  auto go = pod->exec(pod.exec_call("c1", {"sh", "-c", "echo > /go"}));
  REQUIRE(go);
  const auto exit = pod->wait("c1", 20s);
  REQUIRE(exit);
  CHECK(exit->code == 0);
  CHECK(pod.log("c1").size() == 200001);
}

TEST_CASE("a lossless attachment gets every byte", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh", "-c", "head -n 1; seq 1 600000"}, [](auto& options) { options.open_stdin = true; });
  shims::StreamOptions streams;
  streams.open_stdin = true;
  streams.open_stderr = false;
  auto session = pod->attach("c1", streams, true);
  REQUIRE(session);
  REQUIRE(sys::write_all(session->stdin_writer.get(), "go\n"));
  std::this_thread::sleep_for(300ms);
  const auto text = read_to_end(session->stdout_reader.get());
  CHECK(text.ends_with("\n599999\n600000\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 600001);
}

TEST_CASE("a container with a terminal has one, logs stdout only and keeps the carriage returns", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo tty; read x; stty size; echo err >&2"},
          [](auto& options) { options.terminal = options.open_stdin = true; });
  REQUIRE(holds([&] { return !pod.log("c1").empty(); }));
  REQUIRE(pod->resize("c1", "", 123, 45));
  shims::StreamOptions streams;
  streams.open_stdin = true;
  streams.open_stderr = false;
  auto session = pod->attach("c1", streams);
  REQUIRE(session);
  REQUIRE(sys::write_all(session->stdin_writer.get(), "x\n"));
  const auto text = read_to_end(session->stdout_reader.get());
  CHECK(text.find("45 123\r\n") != std::string::npos);
  REQUIRE(pod->wait("c1", 10s));
  const auto lines = pod.log("c1");
  REQUIRE(lines.size() >= 3);
  CHECK(lines[0].content == "tty\r");
  for (const auto& line : lines) CHECK(line.stream == "stdout");
}

TEST_CASE("two containers of a pod live side by side and share its network", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("server", {"nc", "-l", "-p", "8099", "-e", "/bin/echo", "served"});
  pod.run("other", {"sleep", "1000"});
  const auto list = pod->list();
  REQUIRE(list);
  REQUIRE(list->size() == 2);
  for (const auto& state : *list) {
    CHECK(state.status == "running");
    CHECK(sys::process_is_alive(state.pid, state.start_time));
    CHECK_FALSE(state.cgroups.empty());
    struct stat ours{}, theirs{};
    REQUIRE(::stat(concat("/proc/", state.pid, "/ns/net").c_str(), &ours) == 0);
    REQUIRE(::stat(pod->namespace_path("net").c_str(), &theirs) == 0);
    CHECK(ours.st_ino == theirs.st_ino);
  }
  Fd connection;
  REQUIRE(holds([&] {
    auto made = pod->dial(8099);
    if (made) connection = std::move(*made);
    return made.has_value();
  }));
  CHECK(read_to_end(connection.get()) == "served\n");
  REQUIRE(pod->wait("server", 10s));
  CHECK(pod->state("other")->status == "running");
}

TEST_CASE("the id of a container is taken until it is deleted", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  const auto again = pod.create("c1", pod.spec("c1", {"true"}));
  REQUIRE_FALSE(again);
  CHECK(again.error().code() == Code::kAlreadyExists);
  const auto refused = pod->remove("c1", false);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::kFailedPrecondition);
  REQUIRE(pod->remove("c1", true));
  CHECK(ShimClient::read_exit(pod.pod_dir(), "c1")->code == 137);
  CHECK(pod->state("c1").error().code() == Code::kNotFound);
  pod.run("c1", {"true"});
  CHECK(pod->wait("c1", 10s)->code == 0);
}

TEST_CASE("stop leaves no process, mount or cgroup of the pod", "[shim][root]") {
  NEEDS_RUNTIME;
  shim::PodSettings settings;
  settings.shared_pid = true;
  Pod pod(settings);
  pod.run("c1", {"sh", "-c", "sleep 98765 & setsid sleep 98765 & sleep 98765"});
  auto config = pod.spec("c2", {"sh", "-c", "sleep 98765 & sleep 98765 & wait"});
  config.linux_.namespaces = {{"pid", pod->namespace_path("pid")}, {"mount", ""}};
  REQUIRE(pod.create("c2", config));
  REQUIRE(pod->start("c2"));
  const auto state = pod->list();
  REQUIRE(state);
  REQUIRE(holds([] { return processes_with("98765") >= 5; }));
  REQUIRE(pod->stop());
  CHECK(holds([] { return processes_with("98765") == 0; }));
  CHECK(sys::read_file("/proc/self/mountinfo")->find(pod.dir()) == std::string::npos);
  for (const auto& container : *state) {
    for (const auto& [name, path] : container.cgroups) {
      INFO(path);
      CHECK_FALSE(sys::path_exists(path));
    }
  }
  CHECK(sys::list_directory(pod.pod_dir() + "/oci")->empty());
  CHECK(ShimClient::read_exit(pod.pod_dir(), "c1")->code == 137);
}

TEST_CASE("orphans are reaped and an exit is not held up by who keeps its pipe", "[shim][root]") {
  NEEDS_RUNTIME;
  shim::PodSettings settings;
  settings.shared_pid = true;
  Pod pod(settings);
  auto config = pod.spec("c1", {"sh", "-c", "setsid sleep 45671 & exit 5"});
  config.linux_.namespaces = {{"pid", pod->namespace_path("pid")}, {"mount", ""}};
  REQUIRE(pod.create("c1", config));
  const long long before = monotonic_nanos();
  REQUIRE(pod->start("c1"));
  const auto exit = pod->wait("c1", 10s);
  REQUIRE(exit);
  CHECK(exit->code == 5);
  CHECK(monotonic_nanos() - before < 2'000'000'000);
  CHECK(holds([] { return processes_with("45671") == 0; }));
  CHECK(holds([&] {
    const auto children = sys::read_file(concat("/proc/", pod->pid(), "/task/", pod->pid(), "/children"));
    return children && split(trim(*children), ' ').size() <= 1;  // the pod's init
  }));
}
