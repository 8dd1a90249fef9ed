// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run_options.h"

#include <unistd.h>

#include "agent/cli/fetch.h"
#include "agent/cli/options.h"
#include "agent/cli/units.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

constexpr int64_t kLeastMemory = 6 << 20;  // docker's minimum: below it runtimes fail in obscure ways

// The flags as they were typed, before anything is checked.
struct Typed {
  std::vector<std::string> publish, env, env_file, volume, mount, tmpfs, label, cap_add, cap_drop, group_add, dns,
      dns_search, dns_option, sysctl, security_opt;
  std::string workdir, user, name, memory, cpus, cpu_shares, cpuset, hostname,
      network = "bridge", net, pull = "missing", stop_signal, stop_timeout, pids_limit, restart = "no", platform;
  std::optional<std::string> entrypoint;
  std::vector<std::string> operands;
};

void declare(Flags& flags, Typed& typed, RunOptions& options) {
  flags.flag("-d,--detach", options.detach, "run in the background and print the id");
  flags.flag("-i,--interactive", options.interactive, "keep standard input open");
  flags.flag("-t,--tty", options.terminal, "give it a terminal");
  flags.flag("--rm", options.remove, "remove it when it ends");
  flags.flag("--privileged", options.privileged, "all capabilities and devices");
  flags.flag("--read-only", options.read_only, "mount its root file system read-only");
  flags.flag("--init", options.init, "a small init as pid 1 that forwards signals and reaps");
  flags.flag("-q,--quiet", options.quiet, "no pull progress");
  flags.list("-p,--publish", typed.publish, "publish a port: [ip:]host:container[/protocol]");
  flags.list("-e,--env", typed.env, "set an environment variable");
  flags.list("--env-file", typed.env_file, "environment variables from a file");
  flags.list("-v,--volume", typed.volume, "bind a directory or named volume: source:target[:ro]");
  flags.list("--mount", typed.mount, "type=bind|volume|tmpfs,source=,target=[,readonly]");
  flags.list("--tmpfs", typed.tmpfs, "mount a temporary directory");
  flags.list("-l,--label", typed.label, "set a label");
  flags.list("--cap-add", typed.cap_add, "add a capability");
  flags.list("--cap-drop", typed.cap_drop, "drop a capability");
  flags.list("--group-add", typed.group_add, "add a supplementary group");
  flags.list("--dns", typed.dns, "name server");
  flags.list("--dns-search", typed.dns_search, "search domain");
  flags.list("--dns-option", typed.dns_option, "resolver option");
  flags.list("--sysctl", typed.sysctl, "set a namespaced kernel parameter");
  flags.list("--security-opt", typed.security_opt, "seccomp=unconfined or no-new-privileges");
  flags.text("-w,--workdir", typed.workdir, "working directory");
  flags.text("-u,--user", typed.user, "user[:gid], the user by name or number");
  flags.text("--name", typed.name, "name of the container");
  flags.text("-m,--memory", typed.memory, "memory limit, such as 512m");
  flags.text("--cpus", typed.cpus, "number of CPUs");
  flags.text("-c,--cpu-shares", typed.cpu_shares, "relative CPU weight");
  flags.text("--cpuset-cpus", typed.cpuset, "CPUs it may run on, such as 0-3");
  flags.text("--entrypoint", typed.entrypoint, "replace the image's entrypoint");
  flags.text("-h,--hostname", typed.hostname, "host name");
  flags.text("--network", typed.network, "bridge, host or none");
  flags.text("--net", typed.net, "same as --network");
  flags.text("--pull", typed.pull, "missing, always or never");
  flags.text("--platform", typed.platform, "such as linux/amd64");
  flags.text("--stop-signal", typed.stop_signal, "signal that stops it");
  flags.text("--stop-timeout", typed.stop_timeout, "seconds before it is killed");
  flags.text("--pids-limit", typed.pids_limit, "most processes");
  flags.text("--restart", typed.restart, "no (others are not supported)");
}

Result<> fill_resources(const Typed& typed, RunOptions& options) {
  if (!typed.memory.empty()) {
    TRY_ASSIGN(options.memory, parse_memory(typed.memory));
    if (options.memory < kLeastMemory) return fail(Code::kInvalidArgument, "minimum memory limit allowed is 6MB");
  }
  if (!typed.cpus.empty()) {
    TRY_ASSIGN(options.cpu_quota, parse_cpus(typed.cpus));
  }
  const auto number = [](const std::string& text, const char* flag, int64_t& value) -> Result<> {
    if (text.empty()) return {};
    const auto parsed = parse_int64(text);
    if (!parsed)
      return fail(Code::kInvalidArgument,
                  concat("invalid argument ", quote(text), " for ", flag, ": expected a number"));
    value = *parsed;
    return {};
  };
  TRY(number(typed.cpu_shares, "--cpu-shares", options.cpu_shares));
  TRY(number(typed.pids_limit, "--pids-limit", options.pids_limit));
  TRY(number(typed.stop_timeout, "--stop-timeout", options.stop_timeout));
  options.cpuset_cpus = typed.cpuset;
  return {};
}

Result<> fill_env(const Typed& typed, RunOptions& options) {
  for (const std::string& file : typed.env_file) {
    TRY_ASSIGN(const std::string content, sys::read_file(file), "env file");
    TRY(add_env_file(options.env, content, file));
  }
  for (const std::string& text : typed.env) TRY(add_env(options.env, text));
  for (const std::string& text : typed.label) options.labels.push_back(parse_label(text));
  if (!typed.user.empty()) {
    TRY_ASSIGN(options.user, parse_user(typed.user));
    options.user_text = typed.user;
  }
  return {};
}

Result<> fill_mounts_and_ports(const Typed& typed, RunOptions& options) {
  char buffer[4096];
  const std::string here = ::getcwd(buffer, sizeof buffer) != nullptr ? buffer : "/";
  const auto add = [&](Result<Volume> volume) -> Result<> {
    TRY_ASSIGN(auto good, std::move(volume));
    options.volumes.push_back(std::move(good));
    return {};
  };
  for (const std::string& text : typed.volume) TRY(add(parse_volume(text, here)));
  for (const std::string& text : typed.mount) TRY(add(parse_mount(text, here)));
  for (const std::string& text : typed.tmpfs) TRY(add(parse_tmpfs(text)));
  for (size_t i = 0; i < options.volumes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (options.volumes[i].target == options.volumes[j].target) {
        return fail(Code::kInvalidArgument, concat("duplicate mount point: ", quote(options.volumes[i].target)));
      }
    }
  }
  for (const std::string& text : typed.publish) {
    TRY_ASSIGN(const auto ports, parse_published(text));
    options.ports.insert(options.ports.end(), ports.begin(), ports.end());
  }
  if (options.network != "bridge" && !options.ports.empty()) {
    return fail(Code::kInvalidArgument, concat("--publish has no meaning with --network ", options.network));
  }
  return {};
}

Result<> fill_security(const Typed& typed, RunOptions& options) {
  options.cap_add = typed.cap_add;
  options.cap_drop = typed.cap_drop;
  for (auto* list : {&options.cap_add, &options.cap_drop}) {
    for (std::string& name : *list) {
      for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      if (name.starts_with("CAP_")) name.erase(0, 4);
    }
  }
  for (const std::string& text : typed.security_opt) {
    if (text == "seccomp=unconfined" || text == "seccomp:unconfined")
      options.seccomp_unconfined = true;
    else if (text == "no-new-privileges" || text == "no-new-privileges:true" || text == "no-new-privileges=true")
      options.no_new_privileges = true;
    else
      return fail(Code::kInvalidArgument, concat("security option ", quote(text), " is not supported"));
  }
  for (const std::string& text : typed.sysctl) {
    const auto pair = parse_label(text);
    if (pair.first.empty() || text.find('=') == std::string::npos)
      return fail(Code::kInvalidArgument, concat("sysctl ", quote(text), ": expected name=value"));
    options.sysctls.push_back(pair);
  }
  options.groups = typed.group_add;
  for (const std::string& group : options.groups) {
    if (!parse_uint32(group))
      return fail(Code::kInvalidArgument, concat("group ", quote(group), ": only numbers are supported"));
  }
  return {};
}

Result<> fill(const Typed& typed, RunOptions& options) {
  options.name = typed.name;
  if (!options.name.empty()) TRY(check_container_name(options.name));
  options.image = typed.operands.front();
  options.words.assign(typed.operands.begin() + 1, typed.operands.end());
  options.entrypoint = typed.entrypoint;
  options.working_dir = typed.workdir;
  if (!options.working_dir.empty() && !options.working_dir.starts_with('/')) {
    return fail(Code::kInvalidArgument, concat("the working directory ", quote(options.working_dir),
                                               " is invalid, it needs to be an absolute path"));
  }
  options.hostname = typed.hostname;
  options.network = typed.net.empty() ? typed.network : typed.net;
  if (options.network == "default") options.network = "bridge";
  if (options.network != "bridge" && options.network != "host" && options.network != "none") {
    return fail(Code::kInvalidArgument, concat("network ", quote(options.network), ": expected bridge, host or none"));
  }
  if (typed.restart != "no")
    return fail(Code::kInvalidArgument, concat("restart policy ", quote(typed.restart),
                                               " is not supported: no daemon watches over containers of berth run"));
  options.pull = typed.pull;
  TRY(check_pull_policy(options.pull));
  options.platform = typed.platform;
  if (!typed.stop_signal.empty()) {
    TRY_ASSIGN(options.stop_signal, parse_signal(typed.stop_signal));
  }
  options.dns = typed.dns;
  options.dns_search = typed.dns_search;
  options.dns_options = typed.dns_option;
  TRY(fill_resources(typed, options));
  TRY(fill_env(typed, options));
  TRY(fill_mounts_and_ports(typed, options));
  return fill_security(typed, options);
}

}  // namespace

std::optional<int> parse_run_options(const std::string& verb, std::vector<std::string> args, RunOptions& options) {
  Flags flags(verb, "[OPTIONS] IMAGE [COMMAND] [ARG...]",
              verb == "run" ? "Makes a container from an image and runs it."
                            : "Makes a container from an image without starting it.");
  Typed typed;
  declare(flags, typed, options);
  flags.operands_end_flags(typed.operands, 1);
  if (const auto status = flags.parse(std::move(args))) return status;
  if (auto filled = fill(typed, options); !filled) return report(filled.error().message(), kUsageStatus);
  return std::nullopt;
}

}  // namespace berth::cli
