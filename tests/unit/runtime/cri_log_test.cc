// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/cri_log.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

using namespace berth;
using shim::CriLog;
using shim::Stream;

namespace {

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/berth-crilog-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { [[maybe_unused]] const auto removed = sys::remove_tree(path); }
};

struct Line {
  std::string stream, tag, content;
};

std::vector<Line> lines_of(const std::string& path) {
  std::vector<Line> lines;
  const auto text = sys::read_file(path);
  if (!text) return lines;
  REQUIRE((text->empty() || text->back() == '\n'));
  for (const auto line : split(*text, '\n')) {
    if (line.empty()) continue;
    const size_t a = line.find(' '), b = line.find(' ', a + 1), c = line.find(' ', b + 1);
    REQUIRE(c != std::string_view::npos);
    REQUIRE(line.substr(0, a).size() == 30);  // 2026-01-02T03:04:05.000000006Z
    lines.push_back({std::string(line.substr(a + 1, b - a - 1)), std::string(line.substr(b + 1, c - b - 1)),
                     std::string(line.substr(c + 1))});
  }
  return lines;
}

}  // namespace

TEST_CASE("a complete line is one record tagged F with its stream", "[shim]") {
  Folder folder;
  CriLog log;
  REQUIRE(log.open(folder.path + "/log"));
  log.append(Stream::kStdout, "hello\n");
  log.append(Stream::kStderr, "oops\n");
  const auto lines = lines_of(folder.path + "/log");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].stream == "stdout");
  CHECK(lines[0].tag == "F");
  CHECK(lines[0].content == "hello");
  CHECK(lines[1].stream == "stderr");
  struct stat info{};
  REQUIRE(::stat((folder.path + "/log").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);
}

TEST_CASE("an empty line keeps the space after its tag", "[shim]") {
  Folder folder;
  CriLog log;
  REQUIRE(log.open(folder.path + "/log"));
  log.append(Stream::kStdout, "\n\n");
  const auto text = sys::read_file(folder.path + "/log");
  CHECK(text->ends_with(" stdout F \n"));
  CHECK(lines_of(folder.path + "/log").size() == 2);
}

TEST_CASE("a line that comes in pieces is written once, whole", "[shim]") {
  Folder folder;
  CriLog log;
  REQUIRE(log.open(folder.path + "/log"));
  log.append(Stream::kStdout, "one ");
  log.append(Stream::kStderr, "between\n");
  CHECK(lines_of(folder.path + "/log").size() == 1);
  log.append(Stream::kStdout, "two\nthree");
  const auto lines = lines_of(folder.path + "/log");
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].content == "one two");
}

TEST_CASE("a last line without newline is written as P at the end", "[shim]") {
  Folder folder;
  CriLog log;
  REQUIRE(log.open(folder.path + "/log"));
  log.append(Stream::kStdout, "tail");
  log.finish(Stream::kStdout);
  log.finish(Stream::kStdout);
  const auto lines = lines_of(folder.path + "/log");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].tag == "P");
  CHECK(lines[0].content == "tail");
}

TEST_CASE("a long line is split at 16 KiB and its parts give the line back", "[shim]") {
  const size_t length = GENERATE(16383u, 16384u, 16385u, 32768u, 40000u);
  const size_t piece = GENERATE(1000u, 16384u, 65536u);
  Folder folder;
  CriLog log;
  REQUIRE(log.open(folder.path + "/log"));
  std::string text;
  for (size_t i = 0; i < length; ++i) text += static_cast<char>('a' + i % 26);
  const std::string sent = text + "\nnext\n";
  for (size_t at = 0; at < sent.size(); at += piece)
    log.append(Stream::kStdout, std::string_view(sent).substr(at, piece));
  const auto lines = lines_of(folder.path + "/log");
  REQUIRE(lines.size() == (length - 1) / 16384 + 2);
  std::string joined;
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    CHECK(lines[i].tag == (i + 2 < lines.size() ? "P" : "F"));
    CHECK(lines[i].content.size() <= 16384);
    joined += lines[i].content;
  }
  CHECK(joined == text);
  CHECK(lines.back().content == "next");
}

TEST_CASE("carriage returns stay in the content", "[shim]") {
  Folder folder;
  CriLog log;
  REQUIRE(log.open(folder.path + "/log"));
  log.append(Stream::kStdout, "a\r\n");
  CHECK(lines_of(folder.path + "/log")[0].content == "a\r");
}

TEST_CASE("reopen makes the path anew and loses no line", "[shim]") {
  Folder folder;
  CriLog log;
  REQUIRE(log.open(folder.path + "/log"));
  log.append(Stream::kStdout, "first\nhalf ");
  REQUIRE(::rename((folder.path + "/log").c_str(), (folder.path + "/log.1").c_str()) == 0);
  REQUIRE(log.reopen());
  CHECK(::access((folder.path + "/log").c_str(), F_OK) == 0);
  log.append(Stream::kStdout, "line\n");
  CHECK(lines_of(folder.path + "/log.1")[0].content == "first");
  CHECK(lines_of(folder.path + "/log")[0].content == "half line");
}

TEST_CASE("a reopen that fails keeps the old file", "[shim]") {
  Folder folder;
  CriLog log;
  REQUIRE(::mkdir((folder.path + "/d").c_str(), 0755) == 0);
  REQUIRE(log.open(folder.path + "/d/log"));
  REQUIRE(::rename((folder.path + "/d").c_str(), (folder.path + "/e").c_str()) == 0);
  CHECK_FALSE(log.reopen());
  log.append(Stream::kStdout, "still\n");
  CHECK(lines_of(folder.path + "/e/log")[0].content == "still");
}

TEST_CASE("a log path that is a link, a FIFO, a device, relative or climbing is refused", "[shim]") {
  Folder folder;
  const std::string link = folder.path + "/link", fifo = folder.path + "/fifo", target = folder.path + "/target";
  REQUIRE(::symlink(target.c_str(), link.c_str()) == 0);
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  for (const auto& path :
       {link, fifo, std::string("/dev/null"), std::string("log"), folder.path + "/../x", std::string()}) {
    CriLog log;
    INFO(path);
    CHECK_FALSE(log.open(path));
  }
  CHECK(::access(target.c_str(), F_OK) != 0);
}

TEST_CASE("when the disk is full lines are dropped and counted and none is torn", "[shim]") {
  Folder folder;
  const std::string path = folder.path + "/log";
  // A file size limit stands for the full disk; it holds for the process, so in a child.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100, 100};
    CriLog log;
    if (!log.open(path) || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    log.append(Stream::kStdout, "one\ntwo\nthree\nfour\n");  // 44 bytes each
    log.append(Stream::kStdout, "five\n");
    ::_exit(log.dropped_lines() == 3 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].content == "two");
}
