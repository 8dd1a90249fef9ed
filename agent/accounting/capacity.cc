// SPDX-License-Identifier: Apache-2.0
#include "agent/accounting/capacity.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "agent/accounting/quantity.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::accounting {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

Result<int64_t> read_number(const std::string& path) {
  TRY_ASSIGN(const std::string text, sys::read_file(path));
  const auto value = parse_int64(trim(text));
  if (!value) return fail(Code::kDataLoss, concat("read ", quote(path), ": not a number"));
  return *value;
}

// "MemTotal:       16384 kB"
Result<int64_t> memory_total(const std::string& path) {
  TRY_ASSIGN(const std::string text, sys::read_file(path));
  for (const auto line : split(text, '\n')) {
    if (!line.starts_with("MemTotal:")) continue;
    auto number = trim(line.substr(9));
    if (number.ends_with("kB")) number = trim(number.substr(0, number.size() - 2));
    const auto kib = parse_int64(number);
    if (kib && *kib > 0 && *kib <= kMax / 1024) return *kib * 1024;
  }
  return fail(Code::kDataLoss, concat("read ", quote(path), ": no MemTotal"));
}

// Directories hugepages-<size>kB, each a pool of its own; they are carved out of memory when they are filled.
std::map<std::string, int64_t> hugepage_pools(const std::string& path) {
  std::map<std::string, int64_t> pools;
  const auto names = sys::list_directory(path);
  if (!names) return pools;  // a kernel without hugepages
  for (const auto& name : *names) {
    if (!name.starts_with("hugepages-") || !name.ends_with("kB")) continue;
    const auto kib = parse_int64(std::string_view(name).substr(10, name.size() - 12));
    const auto count = read_number(concat(path, "/", name, "/nr_hugepages"));
    if (!kib || *kib <= 0 || !count || *count <= 0 || *count > kMax / 1024 / *kib) continue;
    pools["hugepages-" + format_quantity("memory", *kib * 1024)] = *count * *kib * 1024;
  }
  return pools;
}

}  // namespace

int64_t ResourceCapacity::allocatable() const {
  const __int128 left = static_cast<__int128>(capacity) - system_reserved - eviction_reserved - carved_out;
  return left > 0 ? static_cast<int64_t>(left) : 0;
}

Result<NodeCapacity> read_capacity(const CapacityConfig& config) {
  NodeCapacity out;
  const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (cpus <= 0) return fail_errno("count online cpus");
  out["cpu"].capacity = int64_t{cpus} * 1000;

  TRY_ASSIGN(out["memory"].capacity, memory_total(config.proc + "/meminfo"));
  out["memory"].eviction_reserved = config.memory_eviction_bytes;
  for (const auto& [name, bytes] : hugepage_pools(config.sys + "/kernel/mm/hugepages")) {
    out[name].capacity = bytes;
    out["memory"].carved_out += bytes;
  }

  struct statvfs disk {};
  if (::statvfs(config.root.c_str(), &disk) != 0) return fail_errno(concat("statvfs ", quote(config.root)));
  const auto bytes = static_cast<unsigned __int128>(disk.f_blocks) * disk.f_frsize;
  auto& storage = out["ephemeral-storage"];
  storage.capacity = bytes > static_cast<unsigned __int128>(kMax) ? kMax : static_cast<int64_t>(bytes);
  storage.eviction_reserved = static_cast<int64_t>(static_cast<__int128>(storage.capacity) *
                                                   std::min(config.storage_eviction_percent, 100u) / 100);

  TRY_ASSIGN(const int64_t pid_max, read_number(config.proc + "/sys/kernel/pid_max"));
  TRY_ASSIGN(const int64_t threads_max, read_number(config.proc + "/sys/kernel/threads-max"));
  out["pids"].capacity = std::min(pid_max, threads_max);
  out["slots"].capacity = config.slots;

  for (const auto& [name, amount] : config.system_reserved) {
    const auto it = out.find(name);
    if (it == out.end() || amount < 0) {
      return fail(Code::kInvalidArgument, concat("system reserve of ", quote(name), ": ",
                                                 amount < 0 ? "negative" : "no such resource on this node"));
    }
    it->second.system_reserved = amount;
  }
  return out;
}

}  // namespace berth::accounting
