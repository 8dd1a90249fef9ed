// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include "runtime/cli/options.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::cli;

namespace {

constexpr OptionSpec kSpecs[] = {{"bundle", 'b', true, ""},
                                 {"detach", 'd', false, ""},
                                 {"tty", 't', false, ""},
                                 {"env", 'e', true, ""},
                                 {"no-subreaper", 0, false, ""}};

Result<Arguments> parse(std::vector<std::string_view> words, std::optional<size_t> stop = {}) {
  return parse_options(words, kSpecs, stop);
}

}  // namespace

TEST_CASE("a value follows its option after a blank or an equals sign") {
  CHECK(parse({"--bundle", "/b", "c"})->value("bundle") == "/b");
  CHECK(parse({"--bundle=/b=c", "c"})->value("bundle") == "/b=c");
  CHECK(parse({"-b", "/b"})->value("bundle") == "/b");
  CHECK(parse({"-b=/b"})->value("bundle") == "/b");
  CHECK(parse({"-b/b"})->value("bundle") == "/b");
}

TEST_CASE("long options take one dash as go-runc writes them") {
  CHECK(parse({"-no-subreaper", "c"})->flag("no-subreaper"));
  CHECK(parse({"-bundle", "/b"})->value("bundle") == "/b");
}

TEST_CASE("options are taken after the container id too") {
  const auto arguments = parse({"c1", "--bundle", "/b", "-d"}).value();
  CHECK(arguments.positional() == std::vector<std::string>{"c1"});
  CHECK(arguments.value("bundle") == "/b");
  CHECK(arguments.flag("detach"));
}

TEST_CASE("after the id of exec all words belong to the program") {
  const auto arguments = parse({"-d", "c1", "ls", "-d", "--bundle"}, 1).value();
  CHECK(arguments.positional() == std::vector<std::string>{"c1", "ls", "-d", "--bundle"});
  CHECK(arguments.flag("detach"));
  CHECK_FALSE(arguments.has("bundle"));
}

TEST_CASE("flags can be switched off and joined") {
  CHECK_FALSE(parse({"--detach=false"})->flag("detach"));
  const auto arguments = parse({"-dt"}).value();
  CHECK(arguments.flag("detach"));
  CHECK(arguments.flag("tty"));
}

TEST_CASE("repeated options keep all values and the last one wins") {
  const auto arguments = parse({"-e", "A=1", "--env", "B=2"}).value();
  CHECK(arguments.values("env") == std::vector<std::string>{"A=1", "B=2"});
  CHECK(arguments.value("env") == "B=2");
}

TEST_CASE("a double dash ends the options and a single one is a word") {
  CHECK(parse({"--", "-d"})->positional() == std::vector<std::string>{"-d"});
  CHECK(parse({"-"})->positional() == std::vector<std::string>{"-"});
}

TEST_CASE("unknown options and missing values are refused") {
  CHECK(parse({"--nope"}).error().message() == "flag provided but not defined: -nope");
  CHECK(parse({"-x"}).error().message() == "flag provided but not defined: -x");
  CHECK(parse({"--bundle"}).error().message() == "flag needs an argument: -bundle");
}

TEST_CASE("help is seen anywhere") {
  CHECK(parse({"--help"})->help());
  CHECK(parse({"c", "-h"})->help());
}

TEST_CASE("byte counts take the suffixes of docker") {
  CHECK(parse_bytes("-1") == -1);
  CHECK(parse_bytes("4096") == 4096);
  CHECK(parse_bytes("64m") == 64 << 20);
  CHECK(parse_bytes("1GiB") == 1 << 30);
  CHECK(parse_bytes("2kb") == 2048);
  CHECK_FALSE(parse_bytes("-2"));
  CHECK_FALSE(parse_bytes("m"));
  CHECK_FALSE(parse_bytes("1x"));
  CHECK_FALSE(parse_bytes("99999999999g"));
}

TEST_CASE("signals are named in every way callers do") {
  CHECK(parse_signal("TERM") == SIGTERM);
  CHECK(parse_signal("SIGKILL") == SIGKILL);
  CHECK(parse_signal("sigusr1") == SIGUSR1);
  CHECK(parse_signal("9") == 9);
  CHECK(parse_signal("0") == 0);
  CHECK(parse_signal("RTMIN+3") == 37);
  CHECK(parse_signal("SIGRTMAX") == 64);
  CHECK_FALSE(parse_signal("65"));
  CHECK_FALSE(parse_signal("SIGFOO"));
  CHECK_FALSE(parse_signal(""));
}

TEST_CASE("durations are read as Go writes them") {
  CHECK(parse_duration_ms("5s") == 5000);
  CHECK(parse_duration_ms("1m30s") == 90000);
  CHECK(parse_duration_ms("250ms") == 250);
  CHECK(parse_duration_ms("7") == 7000);
  CHECK_FALSE(parse_duration_ms("s"));
  CHECK_FALSE(parse_duration_ms(""));
  CHECK_FALSE(parse_duration_ms("5y"));
}
