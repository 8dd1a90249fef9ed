// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>

#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "agent/accounting/fit.h"
#include "agent/accounting/fit_json.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

namespace json = boost::json;
using namespace berth;
using namespace berth::accounting;

namespace {

constexpr int64_t kGi = 1ll << 30;
const Amounts kNodeA = {{"cpu", 15500}, {"memory", 62 * kGi}, {"ephemeral-storage", 90 * kGi}, {"pids", 32000}, {"slots", 110}};

FitInput question(Amounts capacity, Amounts shape) {
  FitInput input;
  input.capacity = std::move(capacity);
  input.shape = std::move(shape);
  return input;
}

}  // namespace

TEST_CASE("every published vector is answered exactly, values and order of keys") {
  const auto text = sys::read_file("tests/data/fit-vectors.json");
  REQUIRE(text);
  const auto vectors = json::parse(*text);
  REQUIRE(vectors.as_array().size() == 35);
  for (const auto& vector : vectors.as_array()) {
    json::object expected = vector.as_object();
    const std::string line = json::serialize(expected.at("input"));
    json::object ordered;
    for (const auto& entry : expected) {
      if (entry.key() != "id" && entry.key() != "name" && entry.key() != "input") ordered[entry.key()] = entry.value();
    }
    INFO("vector " << json::serialize(expected.at("id")));
    const auto answer = fit_line(line);
    REQUIRE(answer);
    CHECK(*answer == json::serialize(ordered));
    // The whole vector, with its wrapper, is a question too.
    const auto wrapped = fit_line(concat("{\"id\":1,\"input\":", line, "}"));
    REQUIRE(wrapped);
    CHECK(*wrapped == *answer);
  }
}

namespace {

// The definition, the slow way: fractions compared as decimals of long division, no shared code.
struct Slow {
  bool unbounded = true;
  __int128 r = 0, h = 0;
  std::string binding, h_binding;
};

// Compares a/b with c/d by continued fractions: no product at all.
int compare(int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t q1 = a / b, q2 = c / d;
  if (q1 != q2) return q1 < q2 ? -1 : 1;
  const int64_t r1 = a % b, r2 = c % d;
  if (r1 == 0 || r2 == 0) return r1 == r2 ? 0 : r1 == 0 ? -1 : 1;
  return -compare(b, r1, d, r2);
}

Slow slow_fit(const FitInput& in) {
  static const std::vector<std::string> order = {"cpu", "memory", "ephemeral-storage", "pids", "hugepages-1Gi", "hugepages-2Mi", "a.com/x", "b.com/y", "slots"};
  Slow out;
  int64_t bn = 0, bd = 1, hn = 0, hd = 1;
  for (const auto& name : order) {
    int64_t c = in.shape.contains(name) ? in.shape.at(name) : 0;
    if (name == "slots" && c == 0 && in.capacity.contains("slots")) c = 1;
    if (c == 0) continue;
    int64_t capacity = in.capacity.contains(name) ? in.capacity.at(name) : 0;
    if (in.overcommit.contains(name)) capacity = capacity / in.overcommit.at(name).second * in.overcommit.at(name).first + capacity % in.overcommit.at(name).second * in.overcommit.at(name).first / in.overcommit.at(name).second;
    int64_t free = capacity - (in.allocated.contains(name) ? in.allocated.at(name) : 0);
    if (free < 0) free = 0;
    if (out.unbounded || compare(capacity, c, bn, bd) < 0) bn = capacity, bd = c, out.binding = name, out.r = capacity / c;
    if (out.unbounded || compare(free, c, hn, hd) < 0) hn = free, hd = c, out.h_binding = name, out.h = free / c;
    out.unbounded = false;
  }
  return out;
}

}  // namespace

TEST_CASE("ten thousand random questions agree with an independent implementation") {
  std::mt19937_64 random(20240607);
  const std::vector<std::string> names = {"cpu", "memory", "ephemeral-storage", "pids", "hugepages-1Gi", "hugepages-2Mi", "a.com/x", "b.com/y", "slots"};
  const auto amount = [&](const std::string& name) -> int64_t {
    const unsigned bits = static_cast<unsigned>(random() % 50);
    int64_t value = static_cast<int64_t>(random() >> (63 - bits));
    if (name == "hugepages-2Mi") value = (value >> 21) << 21;
    if (name == "hugepages-1Gi") value = (value >> 30) << 30;
    return value;
  };
  for (int i = 0; i < 10'000; ++i) {
    FitInput in;
    for (const auto& name : names) {
      if (random() % 4 != 0) in.capacity[name] = random() % 9 == 0 ? 12 * kGi : amount(name);
      if (random() % 2 == 0) in.shape[name] = random() % 9 == 0 ? 3 * kGi : amount(name);
      if (random() % 3 == 0) in.allocated[name] = amount(name);
    }
    if (random() % 3 == 0) in.overcommit["cpu"] = {static_cast<int64_t>(1 + random() % 9), static_cast<int64_t>(1 + random() % 9)};
    const auto fast = fit(in);
    const auto slow = slow_fit(in);
    INFO("case " << i);
    REQUIRE(fast.error == FitError::kNone);
    REQUIRE(fast.unbounded == slow.unbounded);
    if (slow.unbounded) continue;
    REQUIRE(static_cast<__int128>(fast.r) == slow.r);
    REQUIRE(fast.binding == slow.binding);
    REQUIRE(static_cast<__int128>(fast.h) == slow.h);
    REQUIRE(fast.h_binding == slow.h_binding);
    REQUIRE(fast.r == fast.r_real.num / fast.r_real.den);  // floor(R_real) = R
    REQUIRE(std::gcd(fast.r_real.num, fast.r_real.den) == (fast.r_real.num == 0 ? fast.r_real.den : 1));
    REQUIRE(std::count(fast.co_binding.begin(), fast.co_binding.end(), fast.binding) == 1);
  }
}

TEST_CASE("R grows with C and never with c") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    auto in = question({{"cpu", static_cast<int64_t>(random() % 100'000)}, {"memory", static_cast<int64_t>(random() % (64 * kGi))}},
                       {{"cpu", static_cast<int64_t>(1 + random() % 4000)}, {"memory", static_cast<int64_t>(1 + random() % (4 * kGi))}});
    const int64_t r = fit(in).r;
    in.capacity["cpu"] += 1000;
    REQUIRE(fit(in).r >= r);
    in.capacity["cpu"] -= 1000;
    in.shape["memory"] += 4096;
    REQUIRE(fit(in).r <= r);
  }
}

TEST_CASE("cross products do not overflow near the end of int64") {
  const int64_t max = std::numeric_limits<int64_t>::max();
  const auto out = fit(question({{"cpu", max}, {"memory", max - 1}}, {{"cpu", max - 1}, {"memory", max - 2}}));
  CHECK(out.r == 1);
  CHECK(out.binding == "cpu");  // max/(max-1) < (max-1)/(max-2)
}

TEST_CASE("a known C of zero is exhausted, an unknown one missing") {
  auto out = fit(question({{"cpu", 1000}, {"a.com/x", 0}}, {{"a.com/x", 1}, {"b.com/y", 1}}));
  REQUIRE(out.dims.size() == 3);
  CHECK(out.dims[1].state == Dimension::State::kExhausted);
  CHECK(out.dims[2].state == Dimension::State::kMissing);
  CHECK(out.r == 0);
}

TEST_CASE("pinned cpus must be whole cores, and whole physical cores where asked") {
  auto in = question(kNodeA, {{"cpu", 1500}});
  in.exclusive_cpu = true;
  CHECK(fit(in).error == FitError::kIntegralCpuRequired);
  in.shape["cpu"] = 3000;
  CHECK(fit(in).r == 5);
  in.threads_per_core = 2;
  CHECK(fit(in).error == FitError::kSmtAlignment);
}

TEST_CASE("overcommit is for cpu and disk, and for memory only when insisted on") {
  auto in = question(kNodeA, {{"memory", kGi}});
  in.overcommit["memory"] = {2, 1};
  CHECK(fit(in).error == FitError::kInvalidArgument);
  in.memory_overcommit = true;
  CHECK(fit(in).r == 110);
  in.overcommit = {{"pids", {2, 1}}};
  CHECK(fit(in).error_dims == std::vector<std::string>{"pids"});
  in.overcommit = {{"cpu", {1, 0}}};
  CHECK(fit(in).error == FitError::kInvalidArgument);
}

TEST_CASE("negative amounts anywhere are refused and named in order") {
  auto in = question(kNodeA, {{"memory", -1}});
  in.allocated["cpu"] = -5;
  const auto out = fit(in);
  CHECK(out.error == FitError::kInvalidArgument);
  CHECK(out.error_dims == std::vector<std::string>{"cpu", "memory"});
}

TEST_CASE("a hugepage size that is none is refused") {
  CHECK(fit(question(kNodeA, {{"hugepages-x", 5}})).error == FitError::kInvalidArgument);
  CHECK(fit(question({{"hugepages-1Gi", 4 * kGi}}, {{"hugepages-1Gi", kGi + 1}})).error == FitError::kHugepageAlignment);
}

TEST_CASE("the sum of floors over zones is not the floor of sums") {
  FitInput in;
  in.zones = {{{"cpu", 1900}}, {{"cpu", 1900}}};
  in.shape = {{"cpu", 1000}};
  const auto out = fit_zones(in);
  CHECK(out.single_numa == 2);
  CHECK(out.none == 3);
}

TEST_CASE("unzoned dimensions bound single-numa too") {
  FitInput in;
  in.zones = {{{"cpu", 8000}}, {{"cpu", 8000}}};
  in.capacity = {{"slots", 3}};
  in.shape = {{"cpu", 1000}};
  CHECK(fit_zones(in).single_numa == 3);
  in.capacity = {};
  in.shape = {};
  CHECK_FALSE(fit_zones(in).single_numa);
  CHECK(fit_line("{\"zones\":[{\"cpu\":1000}],\"shape\":{}}").value() == "{\"per_zone\":[],\"single_numa\":null,\"none\":null}");
}

TEST_CASE("bad questions name what is wrong") {
  CHECK(fit_line("{").error().message().starts_with("not JSON"));
  CHECK(fit_line("[]").error().message() == "not a JSON object");
  CHECK(fit_line("{\"shape\":3}").error().message() == "shape: not an object");
  CHECK(fit_line("{\"shape\":{\"cpu\":1.5}}").error().message() == "shape.cpu: not an integer within 64 bits");
  CHECK(fit_line("{\"shape\":{\"cpu\":18446744073709551615}}").error().message() == "shape.cpu: not an integer within 64 bits");
  CHECK(fit_line("{\"colour\":1}").error().message() == "unknown key \"colour\"");
  CHECK(fit_line("{\"overcommit\":{\"cpu\":[1]}}").error().message() == "overcommit.cpu: not [numerator, denominator]");
}

TEST_CASE("quantities as text are understood in questions") {
  const auto out = fit_line(R"({"capacity":{"cpu":"2","memory":"4G"},"shape":{"cpu":"150m","memory":"100Mi"}})");
  REQUIRE(out);
  CHECK(out->starts_with(R"({"R":13,"R_real":"40/3","binding":"cpu")"));
}
