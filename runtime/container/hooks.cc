// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/hooks.h"

#include <boost/json.hpp>

#include "runtime/base/strings.h"
#include "runtime/sys/process.h"

namespace berth::container {
namespace {

// A hook without a timeout may take its time, but not for ever hold the state lock.
constexpr std::chrono::milliseconds kNoTimeout = std::chrono::hours(1);
constexpr size_t kMaxHookOutput = 64u << 10;

std::string ending_text(const sys::Output& output) {
  std::string text = output.exit.signal != 0 ? concat("signal: ", output.exit.signal) : concat("exit status ", output.exit.code);
  return concat(text, ", stdout: ", trim(output.out), ", stderr: ", trim(output.err));
}

Result<> run_hook(const oci::Hook& hook, const std::string& input, const std::string& bundle) {
  sys::SpawnRequest request;
  request.argv = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
  request.program = hook.path;
  request.env = hook.env;
  if (!bundle.empty()) request.cwd = bundle;
  const auto timeout = hook.timeout ? std::chrono::milliseconds(*hook.timeout * 1000LL) : kNoTimeout;
  auto output = sys::run(std::move(request), input, timeout, kMaxHookOutput);
  if (!output) {
    if (output.error().code() != Code::kDeadlineExceeded) return std::unexpected(std::move(output).error());
    return fail(Code::kDeadlineExceeded, concat("hook ran past specified timeout of ", hook.timeout.value_or(0), ".0s"));
  }
  if (output->exit.code != 0) return fail(Code::kInternal, ending_text(*output));
  return {};
}

}  // namespace

std::string hook_state_json(const HookState& state) {
  boost::json::object object{{"ociVersion", state.oci_version}, {"id", state.id}, {"status", state.status}};
  if (state.pid > 0) object["pid"] = state.pid;
  object["bundle"] = state.bundle;
  if (!state.annotations.empty()) {
    boost::json::object annotations;
    for (const auto& [key, value] : state.annotations) annotations[key] = value;
    object["annotations"] = std::move(annotations);
  }
  return boost::json::serialize(object);
}

Result<> run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const HookState& state) {
  if (hooks.empty()) return {};
  const std::string input = hook_state_json(state);
  for (size_t i = 0; i < hooks.size(); ++i) {
    TRY(run_hook(hooks[i], input, state.bundle), concat("error running ", kind, " hook #", i));
  }
  return {};
}

}  // namespace berth::container
