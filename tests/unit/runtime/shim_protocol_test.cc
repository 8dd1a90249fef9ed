// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>

#include "runtime/shim/loop.h"
#include "runtime/shim/pod_setup.h"
#include "runtime/shim/protocol.h"
#include "runtime/shim/streams.h"
#include "runtime/sys/file.h"
#include "runtime/sys/socket.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace std::chrono_literals;

TEST_CASE("pod settings survive the journey through JSON", "[shim]") {
  shim::PodSettings settings;
  settings.pod_id = "p\"1";
  settings.new_network = false;
  settings.new_uts = false;
  settings.shared_pid = true;
  settings.hostname = "höst";
  settings.sysctls = {{"kernel.sem", "1 2 3 4"}};
  settings.shm_bytes = 0;
  const auto back = shim::pod_settings_from_json(shim::to_json(settings));
  REQUIRE(back);
  CHECK(back->pod_id == settings.pod_id);
  CHECK_FALSE(back->new_network);
  CHECK(back->new_ipc);
  CHECK_FALSE(back->new_uts);
  CHECK(back->shared_pid);
  CHECK(back->hostname == settings.hostname);
  CHECK(back->sysctls == settings.sysctls);
  CHECK(back->shm_bytes == 0);
}

TEST_CASE("exit records survive the journey through JSON", "[shim]") {
  shim::ExitRecord record;
  record.code = 137;
  record.signal = 9;
  record.oom = true;
  record.timed_out = true;
  record.started_at = 1'700'000'000'123'456'789;
  record.finished_at = 1'700'000'001'000'000'000;
  record.reason = "StartError";
  record.message = "a\nb";
  const auto back = shim::exit_record_from_json(shim::to_json(record));
  REQUIRE(back);
  CHECK(back->code == 137);
  CHECK(back->signal == 9);
  CHECK(back->oom);
  CHECK(back->timed_out);
  CHECK(back->started_at == record.started_at);
  CHECK(back->finished_at == record.finished_at);
  CHECK(back->reason == record.reason);
  CHECK(back->message == record.message);
}

TEST_CASE("text that is no record is refused", "[shim]") {
  for (const char* text : {"", "[]", "{", "null", "{\"code\":\"0\"}", "{}"}) {
    INFO(text);
    const auto record = shim::exit_record_from_json(text);
    REQUIRE_FALSE(record);
    CHECK(record.error().code() == Code::kInvalidArgument);
  }
  CHECK_FALSE(shim::pod_settings_from_json("7"));
  CHECK_FALSE(shim::pod_settings_from_json(R"({"sysctls":{"kernel.sem":1}})"));
}

TEST_CASE("sysctls outside the pod's namespaces are refused", "[shim]") {
  const auto check = [](const std::string& key, bool net = true, bool ipc = true) {
    shim::PodSettings settings;
    settings.new_network = net;
    settings.new_ipc = ipc;
    settings.sysctls = {{key, "1"}};
    return shim::check_sysctls(settings).has_value();
  };
  CHECK(check("net.ipv4.ip_forward"));
  CHECK(check("net/ipv4/ip_forward"));
  CHECK(check("kernel.shmmax"));
  CHECK(check("kernel.msgmni"));
  CHECK(check("kernel.sem"));
  CHECK(check("fs.mqueue.msg_max"));
  CHECK_FALSE(check("net.ipv4.ip_forward", false));
  CHECK_FALSE(check("kernel.shmmax", true, false));
  CHECK_FALSE(check("kernel.core_pattern"));
  CHECK_FALSE(check("kernel.semantics"));
  CHECK_FALSE(check("vm.overcommit_memory"));
  CHECK_FALSE(check("net/../kernel/core_pattern"));
  CHECK_FALSE(check("net..x"));
  CHECK_FALSE(check("net."));
  CHECK_FALSE(check(""));
  CHECK_FALSE(check("/net/ipv4"));
}

namespace {

// Runs the loop for a while.
void run_for(shim::Loop& loop, std::chrono::milliseconds time) {
  // quit() is for good, so each run has a loop step that throws the events' bookkeeping back to the test.
  loop.after(time, [&loop] { loop.quit(); });
  loop.run();
}

std::string read_now(int fd) {
  std::string text(1 << 20, '\0');
  const ssize_t got = ::read(fd, text.data(), text.size());
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

}  // namespace

TEST_CASE("timers run in time and cancelled ones do not", "[shim]") {
  shim::Loop loop;
  REQUIRE(loop.open());
  int ran = 0;
  loop.after(5ms, [&] { ++ran; });
  const auto cancelled = loop.after(5ms, [&] { ran += 100; });
  loop.cancel(cancelled);
  run_for(loop, 30ms);
  CHECK(ran == 1);
}

TEST_CASE("output reaches every attachment and the source is never held up by one that does not read", "[shim]") {
  shim::Loop loop;
  REQUIRE(loop.open());
  auto source = *sys::make_pipe();
  auto reader = *sys::make_pipe(O_NONBLOCK);
  auto sleeper = *sys::make_pipe(O_NONBLOCK);
  shim::Output output(loop, std::move(source.first), shim::Stream::kStdout, nullptr);
  REQUIRE(output.open());
  output.attach(std::make_shared<shim::Sink>(loop, std::move(reader.second), false));
  output.attach(std::make_shared<shim::Sink>(loop, std::move(sleeper.second), false));
  ::fcntl(source.second.get(), F_SETFL, O_NONBLOCK);
  std::string got;
  size_t sent = 0;
  const std::string block(32768, 'x');
  std::function<void()> step = [&] {
    for (ssize_t put = 0; sent < (8u << 20) && (put = ::write(source.second.get(), block.data(), block.size())) > 0;)
      sent += static_cast<size_t>(put);
    got += read_now(reader.first.get());
    if (sent < (8u << 20) || got.size() < sent)
      loop.after(0ms, step);
    else
      loop.quit();
  };
  loop.after(0ms, step);
  loop.after(10s, [&] { loop.quit(); });
  loop.run();
  CHECK(sent == 8u << 20);
  CHECK(got.size() == sent);
}

TEST_CASE("a lossless attachment misses nothing, however slow", "[shim]") {
  shim::Loop loop;
  REQUIRE(loop.open());
  auto source = *sys::make_pipe();
  auto reader = *sys::make_pipe(O_NONBLOCK);
  shim::Output output(loop, std::move(source.first), shim::Stream::kStdout, nullptr);
  REQUIRE(output.open());
  output.attach(std::make_shared<shim::Sink>(loop, std::move(reader.second), true));
  ::fcntl(source.second.get(), F_SETFL, O_NONBLOCK);
  size_t sent = 0, got = 0, most_ahead = 0;
  const std::string block(65536, 'x');
  std::function<void()> write_step = [&] {
    for (ssize_t put = 0; sent < (8u << 20) && (put = ::write(source.second.get(), block.data(), block.size())) > 0;)
      sent += static_cast<size_t>(put);
    most_ahead = std::max(most_ahead, sent - got);
    if (sent < (8u << 20)) loop.after(0ms, write_step);
  };
  std::function<void()> read_step = [&] {
    got += read_now(reader.first.get()).size();
    if (got < (8u << 20))
      loop.after(1ms, read_step);
    else
      loop.quit();
  };
  loop.after(0ms, write_step);
  loop.after(50ms, read_step);
  loop.after(20s, [&] { loop.quit(); });
  loop.run();
  CHECK(got == 8u << 20);
  CHECK(most_ahead < 3u << 20);
}

TEST_CASE("an attachment whose reader has gone is forgotten", "[shim]") {
  shim::Loop loop;
  REQUIRE(loop.open());
  auto source = *sys::make_pipe();
  auto reader = *sys::make_pipe();
  ::signal(SIGPIPE, SIG_IGN);
  shim::Output output(loop, std::move(source.first), shim::Stream::kStdout, nullptr);
  REQUIRE(output.open());
  auto sink = std::make_shared<shim::Sink>(loop, std::move(reader.second), true);
  output.attach(sink);
  reader.first.reset();
  run_for(loop, 20ms);
  CHECK(sink->closed());
}

TEST_CASE("what a sink still holds is delivered after its source has ended", "[shim]") {
  shim::Loop loop;
  REQUIRE(loop.open());
  auto source = *sys::make_pipe();
  auto reader = *sys::make_pipe(O_NONBLOCK);
  std::string got;
  {
    auto sink = std::make_shared<shim::Sink>(loop, std::move(reader.second), false);
    sink->open();
    sink->write(std::string(300'000, 'y'));
    sink->finish();
  }
  std::function<void()> step = [&] {
    const auto text = read_now(reader.first.get());
    got += text;
    if (text.empty() && got.size() == 300'000)
      loop.quit();
    else
      loop.after(1ms, step);
  };
  loop.after(0ms, step);
  loop.after(5s, [&] { loop.quit(); });
  loop.run();
  CHECK(got.size() == 300'000);
  pollfd entry{reader.first.get(), POLLIN, 0};
  ::poll(&entry, 1, 0);
  CHECK((entry.revents & POLLHUP) != 0);
}

TEST_CASE("input of several attachments reaches the container and once closes it after the first", "[shim]") {
  const bool once = GENERATE(false, true);
  shim::Loop loop;
  REQUIRE(loop.open());
  auto target = *sys::make_pipe(O_NONBLOCK);
  auto first = *sys::make_pipe();
  auto second = *sys::make_pipe();
  shim::Input input(loop, std::move(target.second), once);
  input.attach(std::move(first.first));
  REQUIRE(sys::write_all(first.second.get(), "one\n"));
  first.second.reset();
  loop.after(20ms, [&] { input.attach(std::move(second.first)); });
  loop.after(30ms, [&] { [[maybe_unused]] const ssize_t put = ::write(second.second.get(), "two\n", 4); });
  ::signal(SIGPIPE, SIG_IGN);
  run_for(loop, 60ms);
  CHECK(read_now(target.first.get()) == (once ? "one\n" : "one\ntwo\n"));
  pollfd entry{target.first.get(), POLLIN, 0};
  ::poll(&entry, 1, 0);
  CHECK(((entry.revents & POLLHUP) != 0) == once);
}

TEST_CASE("input larger than the pipe waits for the container and arrives whole", "[shim]") {
  shim::Loop loop;
  REQUIRE(loop.open());
  auto target = *sys::make_pipe(O_NONBLOCK);
  ::fcntl(target.second.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
  char name[] = "/tmp/berth-input-XXXXXX";
  Fd file(::mkstemp(name));
  ::unlink(name);
  REQUIRE(sys::write_all(file.get(), std::string(1'000'000, 'z')));
  ::lseek(file.get(), 0, SEEK_SET);
  shim::Input input(loop, std::move(target.second), true);
  input.attach(std::move(file));  // a regular file: epoll does not take it
  size_t got = 0;
  bool ended = false;
  std::function<void()> step = [&] {
    char buffer[65536];
    const ssize_t n = ::read(target.first.get(), buffer, sizeof buffer);
    if (n > 0) got += static_cast<size_t>(n);
    ended = n == 0;
    if (ended)
      loop.quit();
    else
      loop.after(1ms, step);
  };
  loop.after(0ms, step);
  loop.after(10s, [&] { loop.quit(); });
  loop.run();
  CHECK(got == 1'000'000);
  CHECK(ended);
}
