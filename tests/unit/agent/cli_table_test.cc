// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/progress.h"
#include "agent/cli/table.h"
#include "tests/support/catch.h"

using namespace berth::cli;

TEST_CASE("columns are as wide as their widest cell and three spaces apart", "[cli]") {
  Table table({"ID", "NAME"});
  table.add({"12345", "a"});
  table.add({"1", "bb"});
  CHECK(table.text() == "ID      NAME\n12345   a\n1       bb\n");
}

TEST_CASE("width is counted in characters, not bytes", "[cli]") {
  Table table({"A", "B"});
  table.add({"é…", "x"});
  table.add({"abc", "y"});
  CHECK(table.text() == "A     B\né…    x\nabc   y\n");
}

TEST_CASE("a short row is filled up", "[cli]") {
  Table table({"A", "B"});
  table.add({"x"});
  CHECK(table.text() == "A   B\nx   \n");
}

TEST_CASE("control bytes cannot reach the terminal through a table", "[cli]") {
  CHECK(printable("a\x1b[2Jb") == "a\\x1b[2Jb");
  CHECK(printable("a\nb\tc\x7f") == "a\\nb\\tc\\x7f");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");
  CHECK(printable("\xe2\x80\xae") == "\\xe2\\x80\\xae");
  CHECK(printable("\xff\xfe") == "\\xff\\xfe");
  CHECK(printable("grün") == "grün");
}

TEST_CASE("long text is cut at a character with an ellipsis", "[cli]") {
  CHECK(shortened("abcdef", 6) == "abcdef");
  CHECK(shortened("abcdefg", 6) == "abcde…");
  CHECK(shortened("ééééé", 3) == "éé…");
}

TEST_CASE("a progress line has a bar while the size is known", "[cli]") {
  const std::string digest = "sha256:0123456789abcdef";
  CHECK(progress_line(digest, "Waiting", 0, 0) == "0123456789ab: Waiting");
  const std::string half = progress_line(digest, "Downloading", 50, 100);
  CHECK(half.starts_with("0123456789ab: Downloading [=========================>"));
  CHECK(half.ends_with("]  50B/100B"));
  CHECK(progress_line(digest, "Extracting", 300, 100).find('>') == std::string::npos);
}

TEST_CASE("references are shown as people write them", "[cli]") {
  CHECK(familiar_reference("docker.io/library/busybox:latest") == "busybox:latest");
  CHECK(familiar_reference("docker.io/me/x:1") == "me/x:1");
  CHECK(familiar_reference("127.0.0.1:5000/x:1") == "127.0.0.1:5000/x:1");
}
