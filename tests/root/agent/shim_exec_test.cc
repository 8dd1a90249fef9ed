// SPDX-License-Identifier: Apache-2.0
// Processes exec'd under berth-shim.
#include "tests/root/agent/shim_pod.h"

using namespace shim_test;

TEST_CASE("exec gives the process its own streams and reports its exit", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  auto call = pod.exec_call("c1", {"sh", "-c", "cat; echo err >&2; exit 9"});
  call.streams.open_stdin = true;
  auto session = pod->exec(call);
  if (!session) FAIL(session.error().message());
  CHECK(session->pid() > 0);
  REQUIRE(sys::write_all(session->stdin_writer.get(), "through\n"));
  session->stdin_writer.reset();
  CHECK(read_to_end(session->stdout_reader.get()) == "through\n");
  CHECK(read_to_end(session->stderr_reader.get()) == "err\n");
  const auto exit = session->wait(10s);
  REQUIRE(exit);
  CHECK(exit->code == 9);
  CHECK_FALSE(exit->timed_out);
  CHECK(pod.log("c1").empty());
}

TEST_CASE("exec without streams has /dev/null, and descriptors of the caller's are used as they are", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  auto call = pod.exec_call("c1", {"sh", "-c", "cat; echo said"});
  auto pipe = *sys::make_pipe();
  call.streams.stdout_fd = pipe.second.get();
  call.streams.open_stderr = false;
  auto session = pod->exec(call);
  REQUIRE(session);
  CHECK_FALSE(session->stdout_reader.valid());
  pipe.second.reset();
  CHECK(read_to_end(pipe.first.get()) == "said\n");
  CHECK(session->wait(10s)->code == 0);
}

TEST_CASE("exec with a terminal hands over the master and can be resized", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  auto call = pod.exec_call("c1", {"sh", "-c", "test -t 1 && read x; stty size; exit 2"});
  call.terminal = true;
  auto session = pod->exec(call);
  if (!session) FAIL(session.error().message());
  REQUIRE(session->terminal.valid());
  REQUIRE(pod->resize("c1", call.exec_id, 77, 33));
  REQUIRE(sys::write_all(session->terminal.get(), "x\n"));
  CHECK(read_until(session->terminal.get(), "33 77\r\n").find("33 77\r\n") != std::string::npos);
  const auto exit = session->wait(10s);
  REQUIRE(exit);
  CHECK(exit->code == 2);
  const auto late = pod->resize("c1", call.exec_id, 1, 1);
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == Code::kNotFound);
}

TEST_CASE("exec that times out is killed with everything it has started", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  auto call = pod.exec_call(
      "c1", {"sh", "-c", "sleep 34561 & (sleep 34561 & sleep 34561) & setsid sleep 34561 & echo up; wait"});
  call.timeout = 500ms;
  const long long before = monotonic_nanos();
  auto session = pod->exec(call);
  REQUIRE(session);
  CHECK(read_until(session->stdout_reader.get(), "up\n") == "up\n");
  CHECK(holds([] {
    return processes_with(
               "sleep\0"
               "34561") >= 0;
  }));
  const auto exit = session->wait(10s);
  REQUIRE(exit);
  CHECK(exit->timed_out);
  CHECK(exit->code == 137);
  CHECK(monotonic_nanos() - before < 3'000'000'000);
  CHECK(holds([] { return processes_with("34561") == 0; }, 1s));
  CHECK(pod->state("c1")->status == "running");
}

TEST_CASE("exec that ends in time is not marked as timed out", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  auto call = pod.exec_call("c1", {"true"});
  call.timeout = 5s;
  auto session = pod->exec(call);
  REQUIRE(session);
  const auto exit = session->wait(10s);
  REQUIRE(exit);
  CHECK_FALSE(exit->timed_out);
  CHECK(exit->code == 0);
}

TEST_CASE("an exec'd process outlives its client, and its end is still reaped", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  pid_t pid = 0;
  {
    auto session = pod->exec(pod.exec_call("c1", {"sh", "-c", "sleep 0.3; echo x > /outlived"}));
    REQUIRE(session);
    pid = session->pid();
  }
  CHECK(holds([&] { return sys::path_exists(pod.dir() + "/c1-upper/outlived"); }));
  CHECK(holds([&] { return !sys::path_exists(concat("/proc/", pid)); }));
}

TEST_CASE("exec of a missing program, in a stopped or unknown container, is an error", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  CHECK_FALSE(pod->exec(pod.exec_call("c1", {"/no/such"})));
  const auto unknown = pod->exec(pod.exec_call("c9", {"true"}));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code() == Code::kNotFound);
  REQUIRE(pod->kill("c1", SIGKILL, false));
  REQUIRE(pod->wait("c1", 10s));
  const auto ended = pod->exec(pod.exec_call("c1", {"true"}));
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code() == Code::kFailedPrecondition);
}

TEST_CASE("an exec id is taken while it runs and free afterwards", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  auto call = pod.exec_call("c1", {"sleep", "0.3"});
  auto first = pod->exec(call);
  REQUIRE(first);
  const auto second = pod->exec(call);
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == Code::kAlreadyExists);
  REQUIRE(first->wait(10s));
  CHECK(pod->exec(call));
}

TEST_CASE("three hundred execs and attachments leave the shim's descriptors and memory as they were", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"}, [](auto& options) { options.open_stdin = true; });
  const auto fds = [&] { return sys::list_directory(concat("/proc/", pod->pid(), "/fd"))->size(); };
  const auto rss = [&] {
    const auto text = sys::read_file(concat("/proc/", pod->pid(), "/statm"));
    return parse_uint64(split(*text, ' ')[1]).value_or(0) * 4;
  };
  const auto cycle = [&](int i) {
    auto call = pod.exec_call("c1", {i % 3 == 0 ? "/no/such" : "true"});
    call.terminal = i % 2 == 0;
    auto session = pod->exec(call);
    if (session && i % 5 != 0) [[maybe_unused]]
      const auto ended = session->wait(10s);
    shims::StreamOptions streams;
    streams.open_stdin = true;
    [[maybe_unused]] const auto attached = pod->attach("c1", streams);
  };
  for (int i = 0; i < 30; ++i) cycle(i);
  std::this_thread::sleep_for(200ms);
  const size_t fds_before = fds();
  const uint64_t rss_before = rss();
  for (int i = 0; i < 300; ++i) cycle(i);
  CHECK(holds([&] { return fds() <= fds_before; }));
  CHECK(rss() <= rss_before + 256);
}

TEST_CASE("a container is deleted at once while processes are exec'd in it", "[shim][root]") {
  NEEDS_RUNTIME;
  Pod pod;
  pod.run("c1", {"sleep", "1000"});
  auto first = pod->exec(pod.exec_call("c1", {"sleep", "1000"}));
  auto second = pod->exec(pod.exec_call("c1", {"sh", "-c", "sleep 1000 & sleep 1000"}));
  REQUIRE(first);
  REQUIRE(second);
  const long long before = monotonic_nanos();
  REQUIRE(pod->remove("c1", true));
  CHECK(monotonic_nanos() - before < 3'000'000'000);
  CHECK(first->wait(1s)->signal == SIGKILL);
  CHECK(second->wait(1s)->signal == SIGKILL);
  CHECK(ShimClient::read_exit(pod.pod_dir(), "c1")->signal == SIGKILL);
}
