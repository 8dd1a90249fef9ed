// SPDX-License-Identifier: Apache-2.0
// R = C/c: how many copies of a shape fit a node, and which resource binds.
//
// Per dimension d: C_d what the node gives, c_d what one copy takes, N_d = floor(C_d/c_d). R = min N_d over the
// dimensions that the shape asks for; R_real = min C_d/c_d, an exact fraction. H = min floor(F_d/c_d) with
// F_d = max(0, C_d - allocated_d - reserved_d): how many more fit now. Every comparison of fractions is a 128-bit cross
// product; there is no floating point. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::accounting {

using Amounts = std::map<std::string, int64_t>;  // by resource name, base units

struct FitInput {
  Amounts capacity;   // allocatable amounts; a name that is absent is not on the node
  Amounts shape;      // absent or 0: not asked for. "slots" is implicitly 1 where the node has slots
  Amounts allocated;
  Amounts reserved;   // held back for others than the asker
  std::map<std::string, std::pair<int64_t, int64_t>> overcommit;  // num/den; cpu and ephemeral-storage only
  bool memory_overcommit = false;  // lets `overcommit` name memory with a ratio above 1
  bool exclusive_cpu = false;      // pinned cpus: c must be whole cores
  int64_t threads_per_core = 0;    // > 0 with exclusive_cpu: whole physical cores only
  std::vector<Amounts> zones;      // NUMA nodes; when given, capacity holds the unzoned dimensions
};

struct Fraction {
  int64_t num = 0;
  int64_t den = 1;
  std::string text() const;  // reduced: "31/2", "31", "0"
};

struct Dimension {
  enum class State : unsigned char { kOk, kExhausted, kMissing };  // exhausted: the node has it, C = 0
  std::string name;
  bool unbounded = false;  // c = 0: says nothing about the shape; no other field counts
  int64_t n = 0;
  Fraction ratio;
  int64_t h = 0;
  int64_t deficit = 0;  // allocated + reserved beyond C
  State state = State::kOk;
};

enum class FitError : unsigned char { kNone, kInvalidArgument, kHugepageAlignment, kIntegralCpuRequired, kSmtAlignment };
const char* fit_error_name(FitError error);  // "HUGEPAGE_ALIGNMENT"…

struct FitResult {
  FitError error = FitError::kNone;  // then only error_dims counts
  std::vector<std::string> error_dims;
  bool unbounded = false;  // no dimension bounds the shape: R, H mean nothing
  int64_t r = 0;
  Fraction r_real;
  std::string binding;  // argmin C/c; ties: cpu, memory, ephemeral-storage, pids, hugepages-*, devices by name, slots
  std::vector<std::string> co_binding;  // every dimension with N = R
  int64_t h = 0;
  std::string h_binding;  // argmin F/c, same order
  std::vector<Dimension> dims;  // in the order of ties
};

// Over node totals; `zones` is ignored.
FitResult fit(const FitInput& input);

struct ZonedFit {
  FitError error = FitError::kNone;
  std::vector<std::string> error_dims;
  std::vector<int64_t> per_zone;       // copies that fit each zone; empty when the shape asks for nothing zoned
  std::optional<int64_t> single_numa;  // each copy within one zone; absent: unbounded
  std::optional<int64_t> none;         // over the sums; absent: unbounded
};
ZonedFit fit_zones(const FitInput& input);

// The order of ties, as "less than".
bool dimension_before(const std::string& a, const std::string& b);

}  // namespace berth::accounting
