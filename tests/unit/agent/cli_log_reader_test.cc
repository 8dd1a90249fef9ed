// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "agent/cli/log_reader.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::cli;

namespace {

const std::string kTime = "2026-01-02T03:04:05.000000006Z";

std::string line(const std::string& stream, const std::string& tag, const std::string& text,
                 const std::string& time = kTime) {
  return time + " " + stream + " " + tag + " " + text + "\n";
}

struct Collected {
  std::string out, err;
  LogSink sink() {
    return [this](bool is_stderr, std::string_view text) { (is_stderr ? err : out) += text; };
  }
};

struct LogFile {
  std::string directory, path;
  explicit LogFile(const std::string& content) {
    char name[] = "/tmp/berth-cli-test-XXXXXX";
    directory = ::mkdtemp(name);
    path = directory + "/c.log";
    append(content);
  }
  ~LogFile() { (void)sys::remove_tree(directory); }
  void append(const std::string& content) const {
    auto file = sys::open_path(path, O_WRONLY | O_CREAT | O_APPEND, 0640);
    REQUIRE(file);
    REQUIRE(sys::write_all(file->get(), content));
  }
};

}  // namespace

TEST_CASE("a log line has time, stream, tag and content", "[cli]") {
  const std::string text = kTime + " stderr P:x a b ";
  const auto parsed = parse_log_line(text);
  REQUIRE(parsed);
  CHECK(parsed->time == kTime);
  CHECK(parsed->is_stderr);
  CHECK(parsed->is_partial);
  CHECK(parsed->content == "a b ");
}

TEST_CASE("an empty line has empty content", "[cli]") {
  const std::string text = kTime + " stdout F ";
  REQUIRE(parse_log_line(text));
  CHECK(parse_log_line(text)->content.empty());
}

TEST_CASE("what is no log line is not read as one", "[cli]") {
  for (const char* bad :
       {"", "hello", "2026-01-02T03:04:05Z stdin F x", "2026-01-02T03:04:05Z stdout Q x", " stdout F x"})
    CHECK_FALSE(parse_log_line(bad));
}

TEST_CASE("parts of a line are joined and streams kept apart", "[cli]") {
  Collected got;
  LogPrinter printer({}, got.sink());
  printer.feed(line("stdout", "P", "ab") + line("stderr", "F", "oops") + line("stdout", "F", "cd") +
               line("stdout", "P", "tail"));
  CHECK(got.out == "abcd\ntail");
  CHECK(got.err == "oops\n");
}

TEST_CASE("bytes may come in any pieces", "[cli]") {
  const std::string text = line("stdout", "F", "one") + line("stdout", "F", "two");
  for (size_t cut = 0; cut < text.size(); ++cut) {
    Collected got;
    LogPrinter printer({}, got.sink());
    printer.feed(text.substr(0, cut));
    printer.feed(text.substr(cut));
    CHECK(got.out == "one\ntwo\n");
  }
}

TEST_CASE("a timestamp stands once before a line of several parts", "[cli]") {
  Collected got;
  LogOptions options;
  options.timestamps = true;
  LogPrinter printer(options, got.sink());
  printer.feed(line("stdout", "P", "ab") + line("stdout", "F", "cd"));
  CHECK(got.out == kTime + " abcd\n");
}

TEST_CASE("lines before --since are left out", "[cli]") {
  Collected got;
  LogOptions options;
  options.since_nanos = 60'000'000'000;
  LogPrinter printer(options, got.sink());
  printer.feed(line("stdout", "F", "old", "1970-01-01T00:00:59.999999999Z") +
               line("stdout", "F", "new", "1970-01-01T00:01:00.000000000Z"));
  CHECK(got.out == "new\n");
}

TEST_CASE("--tail counts whole lines", "[cli]") {
  const LogFile file(line("stdout", "F", "one") + line("stdout", "P", "tw") + line("stdout", "F", "o") +
                     line("stdout", "F", "three"));
  for (const auto& [count, expected] :
       {std::pair<uint64_t, std::string>{0, ""}, {1, "three\n"}, {2, "two\nthree\n"}, {9, "one\ntwo\nthree\n"}}) {
    Collected got;
    LogOptions options;
    options.tail = count;
    REQUIRE(print_log(file.path, options, [] { return true; }, got.sink()));
    CHECK(got.out == expected);
  }
}

TEST_CASE("following goes on across a rotation and ends with the container", "[cli]") {
  const LogFile file(line("stdout", "F", "one"));
  Collected got;
  LogOptions options;
  options.follow = true;
  int asked = 0;
  const auto ended = [&] {
    switch (asked++) {
      case 0:
        file.append(line("stdout", "F", "two"));
        return false;
      case 1:
        file.append(line("stdout", "F", "three"));
        REQUIRE(::rename(file.path.c_str(), (file.path + ".1").c_str()) == 0);
        file.append(line("stdout", "F", "four"));
        return false;
      default:
        file.append(line("stdout", "F", "five"));
        return true;
    }
  };
  REQUIRE(print_log(file.path, options, ended, got.sink()));
  CHECK(got.out == "one\ntwo\nthree\nfour\nfive\n");
}

TEST_CASE("a log that is not there yet is empty", "[cli]") {
  Collected got;
  REQUIRE(print_log("/nonexistent/c.log", {}, [] { return true; }, got.sink()));
  CHECK(got.out.empty());
}
