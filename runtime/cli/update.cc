// SPDX-License-Identifier: Apache-2.0
// update: flags or a JSON document of linux.resources. What is absent stays as it is.
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/cli/commands.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

std::unexpected<Error> bad_value(std::string_view name, const std::string& text) {
  return fail(Code::kInvalidArgument, concat("invalid value for ", name, ": ", quote(text)));
}

// Sets `out` from the option when it was given. Works for signed and unsigned fields.
template <typename T>
Result<> number(const Arguments& arguments, std::string_view name, std::optional<T>& out) {
  if (!arguments.has(name)) return {};
  const std::string text = arguments.value(name);
  const auto value = parse_int64(text);
  if (!value || (std::is_unsigned_v<T> && *value < 0)) return bad_value(name, text);
  if constexpr (sizeof(T) < sizeof(int64_t)) {
    if (*value > static_cast<int64_t>(static_cast<T>(-1))) return bad_value(name, text);
  }
  out = static_cast<T>(*value);
  return {};
}

Result<> bytes(const Arguments& arguments, std::string_view name, std::optional<int64_t>& out) {
  if (!arguments.has(name)) return {};
  out = parse_bytes(arguments.value(name));
  return out ? Result<>{} : bad_value(name, arguments.value(name));
}

Result<oci::Resources> from_flags(const Arguments& arguments) {
  oci::Resources out;
  auto& cpu = out.cpu.emplace();
  TRY(number(arguments, "cpu-period", cpu.period));
  TRY(number(arguments, "cpu-quota", cpu.quota));
  TRY(number(arguments, "cpu-burst", cpu.burst));
  TRY(number(arguments, "cpu-share", cpu.shares));
  TRY(number(arguments, "cpu-rt-period", cpu.realtime_period));
  TRY(number(arguments, "cpu-rt-runtime", cpu.realtime_runtime));
  TRY(number(arguments, "cpu-idle", cpu.idle));
  cpu.cpus = arguments.value("cpuset-cpus");
  cpu.mems = arguments.value("cpuset-mems");
  auto& memory = out.memory.emplace();
  TRY(bytes(arguments, "memory", memory.limit));
  TRY(bytes(arguments, "memory-reservation", memory.reservation));
  TRY(bytes(arguments, "memory-swap", memory.swap));
  TRY(number(arguments, "pids-limit", out.pids_limit));
  TRY(number(arguments, "blkio-weight", out.block_io.emplace().weight));
  if (arguments.has("l3-cache-schema") || arguments.has("mem-bw-schema")) {
    return fail(Code::kUnimplemented, "Intel RDT: update of schemata is not supported");
  }
  return out;
}

}  // namespace

Result<int> update_command(const Context& context, const Arguments& arguments) {
  oci::Resources resources;
  if (arguments.has("resources")) {
    const std::string file = arguments.value("resources");
    TRY_ASSIGN(const auto text, file == "-" ? sys::read_all(STDIN_FILENO) : sys::read_file(file));
    TRY_ASSIGN(resources, oci::parse_resources(text));
  } else {
    TRY_ASSIGN(resources, from_flags(arguments));
  }
  // A swap limit alone is bounded below by the memory limit in force, which the kernel compares itself.
  TRY(container::update(context.root, arguments.positional()[0], resources));
  return 0;
}

}  // namespace berth::cli
