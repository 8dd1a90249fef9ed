// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"
#include "tests/support/catch.h"

using namespace berth::cli;

namespace {
constexpr long long kSecond = 1'000'000'000;
}

TEST_CASE("durations are read out in docker's words", "[cli]") {
  CHECK(human_duration(0) == "Less than a second");
  CHECK(human_duration(kSecond) == "1 second");
  CHECK(human_duration(59 * kSecond) == "59 seconds");
  CHECK(human_duration(60 * kSecond) == "About a minute");
  CHECK(human_duration(120 * kSecond) == "2 minutes");
  CHECK(human_duration(3600 * kSecond) == "About an hour");
  CHECK(human_duration(3 * 3600 * kSecond) == "3 hours");
  CHECK(human_duration(72 * 3600 * kSecond) == "3 days");
  CHECK(human_duration(21 * 24 * 3600 * kSecond) == "3 weeks");
  CHECK(human_duration(100 * 24 * 3600 * kSecond) == "3 months");
  CHECK(human_duration(800LL * 24 * 3600 * kSecond) == "2 years");
  CHECK(human_duration(-5) == "Less than a second");
}

TEST_CASE("sizes are decimal with three digits", "[cli]") {
  CHECK(human_size(0) == "0B");
  CHECK(human_size(999) == "999B");
  CHECK(human_size(4'261'550) == "4.26MB");
  CHECK(human_size(1'500'000'000) == "1.5GB");
  CHECK(human_size(12'345) == "12.3kB");
}

TEST_CASE("memory sizes are binary multiples in every spelling", "[cli]") {
  CHECK(*parse_memory("1024") == 1024);
  CHECK(*parse_memory("64m") == 64 << 20);
  CHECK(*parse_memory("64MiB") == 64 << 20);
  CHECK(*parse_memory("64MB") == 64 << 20);
  CHECK(*parse_memory("1.5g") == 1536LL << 20);
  CHECK_FALSE(parse_memory("64x"));
  CHECK_FALSE(parse_memory("-1m"));
  CHECK_FALSE(parse_memory(""));
  CHECK_FALSE(parse_memory("99999999999999t"));
}

TEST_CASE("cpus become a quota of 100000 microseconds", "[cli]") {
  CHECK(*parse_cpus("1.5") == 150000);
  CHECK(*parse_cpus("0.01") == 1000);
  CHECK_FALSE(parse_cpus("0"));
  CHECK_FALSE(parse_cpus("two"));
  CHECK_FALSE(parse_cpus("1e3"));
}

TEST_CASE("durations are typed as numbers with units", "[cli]") {
  CHECK(*parse_duration("90s") == 90 * kSecond);
  CHECK(*parse_duration("1h30m") == 5400 * kSecond);
  CHECK(*parse_duration("500ms") == kSecond / 2);
  CHECK_FALSE(parse_duration("90"));
  CHECK_FALSE(parse_duration("s"));
  CHECK_FALSE(parse_duration(""));
}

TEST_CASE("a point in time is a duration ago, a date or seconds", "[cli]") {
  CHECK(*parse_point_in_time("10s", 100 * kSecond) == 90 * kSecond);
  CHECK(*parse_point_in_time("1970-01-01T00:01:00Z", 0) == 60 * kSecond);
  CHECK(*parse_point_in_time("1970-01-01T01:00:00.5+01:00", 0) == kSecond / 2);
  CHECK(*parse_point_in_time("42", 0) == 42 * kSecond);
  CHECK_FALSE(parse_point_in_time("yesterday", 0));
  CHECK_FALSE(parse_point_in_time("1970-01-01T00:01:00", 0));
}
