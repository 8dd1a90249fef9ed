// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "agent/cli/auth.h"
#include "agent/cli/env.h"
#include "agent/cli/options.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::cli;

TEST_CASE("a later environment variable replaces an earlier", "[cli]") {
  EnvList env;
  REQUIRE(add_env(env, "A=1"));
  REQUIRE(add_env(env, "B=x=y"));
  REQUIRE(add_env(env, "A=2"));
  CHECK(env == EnvList{{"A", "2"}, {"B", "x=y"}});
  CHECK_FALSE(add_env(env, "=1"));
}

TEST_CASE("a bare name takes the caller's value or nothing", "[cli]") {
  ::setenv("BERTH_TEST_ENV", "here", 1);
  ::unsetenv("BERTH_TEST_ABSENT");
  EnvList env;
  REQUIRE(add_env(env, "BERTH_TEST_ENV"));
  REQUIRE(add_env(env, "BERTH_TEST_ABSENT"));
  CHECK(env == EnvList{{"BERTH_TEST_ENV", "here"}});
}

TEST_CASE("an env file has comments, blank lines and carriage returns", "[cli]") {
  EnvList env;
  REQUIRE(add_env_file(env, "# comment\n\nA=1\r\n  B=two words\n", "f"));
  CHECK(env == EnvList{{"A", "1"}, {"B", "two words"}});
  const auto bad = add_env_file(env, "A=1\nbad name=1\n", "f");
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message().find("line 2") != std::string::npos);
}

TEST_CASE("users are numbers or names", "[cli]") {
  CHECK(parse_user("1000")->uid == 1000);
  CHECK(parse_user("1000:50")->gid == 50);
  CHECK(parse_user("www")->name == "www");
  CHECK(parse_user("www:50")->gid == 50);
  CHECK_FALSE(parse_user("www:staff"));
  CHECK_FALSE(parse_user(":5"));
}

TEST_CASE("container names follow docker's rule", "[cli]") {
  CHECK(check_container_name("web-1.a_b"));
  for (const char* bad : {"a", "-web", "we b", "../x", "wéb", ""}) CHECK_FALSE(check_container_name(bad));
  CHECK(check_container_name(random_container_name()));
}

TEST_CASE("a command is shown as a shell would need it", "[cli]") {
  CHECK(command_text({"sh", "-c", "echo hi"}) == "sh -c 'echo hi'");
  CHECK(command_text({"echo", "it's", ""}) == "echo 'it'\\''s' ''");
}

TEST_CASE("signals are names or numbers", "[cli]") {
  CHECK(*parse_signal("TERM") == 15);
  CHECK(*parse_signal("sigkill") == 9);
  CHECK(*parse_signal("10") == 10);
  CHECK(*parse_signal("RTMIN+1") == 35);
  CHECK(*parse_signal("RTMAX-1") == 63);
  CHECK_FALSE(parse_signal("NOPE"));
  CHECK_FALSE(parse_signal("0"));
  CHECK_FALSE(parse_signal("65"));
}

TEST_CASE("flags end at the first operand of run", "[cli]") {
  Flags flags("run", "", "");
  bool detach = false;
  std::vector<std::string> env, rest;
  flags.flag("-d,--detach", detach, "");
  flags.list("-e,--env", env, "");
  flags.operands_end_flags(rest, 1);
  CHECK_FALSE(flags.parse({"-d", "-e", "A=1", "--env=B=2", "image", "ls", "-d", "--", "-e"}));
  CHECK(detach);
  CHECK(env == std::vector<std::string>{"A=1", "B=2"});
  CHECK(rest == std::vector<std::string>{"image", "ls", "-d", "--", "-e"});
}

TEST_CASE("unknown flags and missing operands end with status 125", "[cli]") {
  for (const std::vector<std::string>& args : {std::vector<std::string>{"--bogus", "image"}, {}, {"-x"}}) {
    Flags flags("run", "", "");
    std::vector<std::string> rest;
    flags.operands_end_flags(rest, 1);
    CHECK(flags.parse(args) == kUsageStatus);
  }
}

TEST_CASE("flags may follow operands where a verb takes several", "[cli]") {
  Flags flags("stop", "", "");
  std::string time;
  std::vector<std::string> rest;
  flags.text("-t,--time", time, "");
  flags.operands(rest, 1);
  CHECK_FALSE(flags.parse({"a", "-t", "5", "b", "--", "-c"}));
  CHECK(time == "5");
  CHECK(rest == std::vector<std::string>{"a", "b", "-c"});
}

TEST_CASE("credentials are found by host in docker's file", "[cli]") {
  const char* text =
      R"({"auths":{"https://index.docker.io/v1/":{"auth":"bWU6cGE6c3M="},"127.0.0.1:5000":{"username":"u","password":"p"},"bad":{"auth":"!!"}}})";
  const auto hub = auth_from_config(text, "docker.io");
  REQUIRE(hub);
  CHECK(hub->username == "me");
  CHECK(hub->password == "pa:ss");
  CHECK(auth_from_config(text, "127.0.0.1:5000")->username == "u");
  CHECK(auth_from_config(text, "other")->empty());
  CHECK_FALSE(auth_from_config(text, "bad"));
  CHECK_FALSE(auth_from_config("[", "x"));
}
