// SPDX-License-Identifier: Apache-2.0
// CRI message + image → OCI spec.
#include "agent/pods/spec_builder.h"

#include <algorithm>

#include "agent/pods/capabilities.h"
#include "agent/pods/resources.h"
#include "agent/pods/seccomp_default.h"
#include "agent/pods/signals.h"
#include "runtime/oci/spec_json.h"
#include "tests/support/catch.h"

using namespace berth;
namespace v1 = ::runtime::v1;

namespace {

struct Input {
  v1::ContainerConfig config;
  v1::PodSandboxConfig sandbox;
  rootfs::ImageConfig image;
  pods::HostFacts host;
  pods::SpecInput spec;

  Input() {
    image.entrypoint = {"/entry"};
    image.cmd = {"default"};
    host.bounding_capabilities = ~uint64_t{0};
    sandbox.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::CONTAINER);
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::CONTAINER);
  }
  v1::LinuxContainerSecurityContext& security() { return *config.mutable_linux()->mutable_security_context(); }
  Result<oci::Spec> build() {
    spec.container_id = "c1";
    spec.config = &config;
    spec.sandbox = &sandbox;
    spec.image = &image;
    spec.host = &host;
    spec.pod_directory = "/run/pod";
    spec.host_name = "web-0";
    spec.cgroup_parent = "/kubepods/pod1";
    return pods::build_spec(spec);
  }
};

const oci::Mount* find_mount(const oci::Spec& spec, const std::string& destination) {
  const auto found =
      std::find_if(spec.mounts.begin(), spec.mounts.end(), [&](const auto& m) { return m.destination == destination; });
  return found == spec.mounts.end() ? nullptr : &*found;
}
bool has(const std::vector<std::string>& values, const std::string& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

TEST_CASE("command replaces the entrypoint and drops the image's arguments") {
  Input input;
  CHECK(input.build()->process->args == std::vector<std::string>{"/entry", "default"});
  input.config.add_args("mine");
  CHECK(input.build()->process->args == std::vector<std::string>{"/entry", "mine"});
  input.config.add_command("/bin/sh");
  CHECK(input.build()->process->args == std::vector<std::string>{"/bin/sh", "mine"});
  input.config.clear_args();
  CHECK(input.build()->process->args == std::vector<std::string>{"/bin/sh"});
}

TEST_CASE("no command anywhere is an error") {
  Input input;
  input.image.entrypoint.clear();
  input.image.cmd.clear();
  const auto spec = input.build();
  REQUIRE_FALSE(spec);
  CHECK(spec.error().message() == "no command specified");
}

TEST_CASE("environment: defaults, then the image, then the request, each name once") {
  Input input;
  input.image.env = {"PATH=/image", "A=1", "B=2", "malformed"};
  v1::KeyValue& env = *input.config.add_envs();
  env.set_key("A");
  env.set_value("9");
  const auto environment = input.build()->process->env;
  CHECK(environment == std::vector<std::string>{"PATH=/image", "HOSTNAME=web-0", "A=9", "B=2"});
  input.image.env.clear();
  CHECK(input.build()->process->env.front().starts_with("PATH=/usr/local/sbin:"));
  CHECK_FALSE(has(input.build()->process->env, "TERM=xterm"));
  input.config.set_tty(true);
  CHECK(has(input.build()->process->env, "TERM=xterm"));
}

TEST_CASE("working directory: request, image, root; never relative") {
  Input input;
  CHECK(input.build()->process->cwd == "/");
  input.image.working_dir = "/srv";
  CHECK(input.build()->process->cwd == "/srv");
  input.config.set_working_dir("/app");
  CHECK(input.build()->process->cwd == "/app");
  input.config.set_working_dir("app");
  CHECK_FALSE(input.build());
}

TEST_CASE("network, ipc and uts are inherited from the shim; mount and pid are new") {
  Input input;
  const auto spec = input.build();
  REQUIRE(spec);
  CHECK(spec->linux_.find_namespace("mount") != nullptr);
  CHECK(spec->linux_.find_namespace("pid") != nullptr);
  for (const char* type : {"network", "ipc", "uts", "user", "cgroup"})
    CHECK(spec->linux_.find_namespace(type) == nullptr);
  input.host.cgroup_v2 = true;
  CHECK(input.build()->linux_.find_namespace("cgroup") != nullptr);
}

TEST_CASE("the pid namespace follows the mode") {
  Input input;
  input.security().mutable_namespace_options()->set_pid(v1::NODE);
  CHECK(input.build()->linux_.find_namespace("pid") == nullptr);
  input.security().mutable_namespace_options()->set_pid(v1::TARGET);
  CHECK_FALSE(input.build());
  input.spec.pid_namespace = "/proc/7/ns/pid";
  CHECK(input.build()->linux_.find_namespace("pid")->path == "/proc/7/ns/pid");
  // A container that asks for the pod's gets its own when the pod shares none.
  input.spec.pid_namespace.clear();
  input.security().mutable_namespace_options()->set_pid(v1::POD);
  CHECK(input.build()->linux_.find_namespace("pid")->path.empty());
  input.sandbox.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::POD);
  CHECK_FALSE(input.build());
}

TEST_CASE("the engine's own mounts give way to the request's") {
  Input input;
  CHECK(find_mount(*input.build(), "/etc/hosts")->source == "/run/pod/hosts");
  oci::Mount mine;
  mine.destination = "/etc/hosts/";
  mine.type = "bind";
  mine.source = "/kubelet/hosts";
  input.spec.mounts.push_back(mine);
  const auto spec = input.build();
  CHECK(find_mount(*spec, "/etc/hosts") == nullptr);
  CHECK(find_mount(*spec, "/etc/hosts/")->source == "/kubelet/hosts");
}

TEST_CASE("/dev/shm is the pod's, or the host's with host ipc") {
  Input input;
  CHECK(find_mount(*input.build(), "/dev/shm")->source == "/run/pod/shm");
  input.sandbox.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_ipc(v1::NODE);
  CHECK(find_mount(*input.build(), "/dev/shm")->source == "/dev/shm");
}

TEST_CASE("sysfs and cgroups are read-only unless privileged") {
  Input input;
  CHECK(has(find_mount(*input.build(), "/sys")->options, "ro"));
  CHECK(has(find_mount(*input.build(), "/sys/fs/cgroup")->options, "ro"));
  input.security().set_privileged(true);
  CHECK(has(find_mount(*input.build(), "/sys")->options, "rw"));
  CHECK(has(find_mount(*input.build(), "/sys/fs/cgroup")->options, "rw"));
}

TEST_CASE("masked and read-only paths are the request's, none when privileged, defaults without a context") {
  Input input;
  CHECK(input.build()->linux_.masked_paths.empty());
  input.security().add_masked_paths("/bin/ls");
  input.security().add_readonly_paths("/tmp");
  CHECK(input.build()->linux_.masked_paths == std::vector<std::string>{"/bin/ls"});
  CHECK(input.build()->linux_.readonly_paths == std::vector<std::string>{"/tmp"});
  input.security().set_privileged(true);
  CHECK(input.build()->linux_.masked_paths.empty());
  input.config.mutable_linux()->clear_security_context();
  CHECK(has(input.build()->linux_.masked_paths, "/proc/kcore"));
  CHECK(has(input.build()->linux_.masked_paths, "/proc/interrupts"));
  CHECK(has(input.build()->linux_.readonly_paths, "/proc/sysrq-trigger"));
}

TEST_CASE("annotations and labels never reach the spec") {
  Input input;
  const std::string plain = oci::to_json(*input.build());
  for (const char* key : {"org.systemd.property.X", "run.oci.handler", "io.podman.annotations.label",
                          "io.kubernetes.cri-o.x", "berth.x"}) {
    (*input.config.mutable_annotations())[key] = "1";
    (*input.sandbox.mutable_annotations())[key] = "1";
    (*input.config.mutable_labels())[key] = "1";
    input.image.labels[key] = "1";
  }
  CHECK(oci::to_json(*input.build()) == plain);
}

TEST_CASE("oom_score_adj is clamped to what may be given") {
  Input input;
  input.config.mutable_linux()->mutable_resources()->set_oom_score_adj(-997);
  CHECK(input.build()->process->oom_score_adj == -997);
  input.host.may_lower_oom = false;
  input.host.oom_score_adj = 100;
  CHECK(input.build()->process->oom_score_adj == 100);
  input.config.mutable_linux()->mutable_resources()->set_oom_score_adj(500);
  CHECK(input.build()->process->oom_score_adj == 500);
}

TEST_CASE("resources: zero leaves alone, huge pages and unified only where the host has them") {
  Input input;
  auto& resources = *input.config.mutable_linux()->mutable_resources();
  resources.set_cpu_shares(1024);
  resources.set_cpu_quota(20000);
  resources.set_memory_limit_in_bytes(64 << 20);
  resources.add_hugepage_limits()->set_page_size("2MB");
  (*resources.mutable_unified())["memory.high"] = "1";
  auto built = input.build()->linux_.resources.value();
  CHECK(built.cpu->shares == 1024u);
  CHECK(built.cpu->quota == 20000);
  CHECK_FALSE(built.cpu->period);
  CHECK(built.memory->limit == 64 << 20);
  CHECK_FALSE(built.memory->swap);
  CHECK(built.hugepage_limits.empty());
  CHECK(built.unified.empty());
  input.host.hugetlb = true;
  input.host.cgroup_v2 = true;
  built = input.build()->linux_.resources.value();
  CHECK(built.hugepage_limits.size() == 1);
  CHECK(built.unified.size() == 1);
}

TEST_CASE("the cgroup lies below the pod's") {
  Input input;
  CHECK(input.build()->linux_.cgroups_path == "/kubepods/pod1/c1");
}

TEST_CASE("devices are denied first unless privileged") {
  Input input;
  input.spec.devices.rules.push_back({true, "c", 1, 3, "rw"});
  const auto rules = input.build()->linux_.resources->devices;
  REQUIRE(rules.size() == 2);
  CHECK_FALSE(rules[0].allow);
  CHECK(rules[1].allow);
  input.security().set_privileged(true);
  CHECK(input.build()->linux_.resources->devices.size() == 1);
}

TEST_CASE("capabilities: the default set has no NET_ADMIN and nothing inheritable") {
  const auto sets = pods::container_capabilities({}, false, ~uint64_t{0});
  REQUIRE(sets);
  CHECK(sets->bounding.size() == 14);
  CHECK_FALSE(has(sets->bounding, "CAP_NET_ADMIN"));
  CHECK(sets->inheritable.empty());
  CHECK(sets->ambient.empty());
}

TEST_CASE("capabilities: add, drop, ALL, and names as people write them") {
  v1::Capability request;
  request.add_drop_capabilities("ALL");
  CHECK(pods::container_capabilities(request, false, ~uint64_t{0})->bounding.empty());
  request.add_add_capabilities("net_raw");
  CHECK(pods::container_capabilities(request, false, ~uint64_t{0})->bounding ==
        std::vector<std::string>{"CAP_NET_RAW"});
  v1::Capability all;
  all.add_add_capabilities("ALL");
  all.add_drop_capabilities("CAP_SYS_ADMIN");
  const auto most = pods::container_capabilities(all, false, ~uint64_t{0});
  CHECK(most->bounding.size() == 40);
  CHECK_FALSE(has(most->bounding, "CAP_SYS_ADMIN"));
  v1::Capability unknown;
  unknown.add_add_capabilities("FLY");
  CHECK(pods::container_capabilities(unknown, false, ~uint64_t{0}).error().code() == Code::kInvalidArgument);
}

TEST_CASE("capabilities: nobody gets what the agent has not") {
  const uint64_t without_chown = ~uint64_t{1};
  CHECK_FALSE(has(pods::container_capabilities({}, true, without_chown)->bounding, "CAP_CHOWN"));
  CHECK(has(pods::container_capabilities({}, true, without_chown)->bounding, "CAP_SYS_ADMIN"));
}

TEST_CASE("seccomp: nothing asked means none, the default profile keeps namespaces and odd sockets out") {
  v1::LinuxContainerSecurityContext context;
  CHECK_FALSE(pods::container_seccomp(context, {})->has_value());
  context.mutable_seccomp();
  const auto profile = pods::container_seccomp(context, {}).value().value();
  CHECK(profile.default_action == "SCMP_ACT_ERRNO");
  bool socket_masked = false;
  for (const oci::SeccompRule& rule : profile.syscalls) {
    CHECK_FALSE(has(rule.names, "unshare"));
    CHECK_FALSE(has(rule.names, "mount"));
    CHECK_FALSE(has(rule.names, "io_uring_setup"));
    CHECK_FALSE(has(rule.names, "keyctl"));
    if (has(rule.names, "socket")) {
      REQUIRE(rule.args.size() == 1);
      socket_masked = rule.args[0].op == "SCMP_CMP_MASKED_EQ" && rule.args[0].value == 0xffffffff;
      CHECK(rule.args[0].value_two != 38);  // AF_ALG
    }
  }
  CHECK(socket_masked);
  context.set_privileged(true);
  CHECK_FALSE(pods::container_seccomp(context, {})->has_value());
}

TEST_CASE("seccomp: an empty or missing local profile is an error, never unconfined") {
  v1::LinuxContainerSecurityContext context;
  context.mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost);
  CHECK(pods::container_seccomp(context, {}).error().code() == Code::kInvalidArgument);
  context.mutable_seccomp()->set_localhost_ref("/tmp/there-is-no-such-profile.json");
  CHECK(pods::container_seccomp(context, {}).error().code() == Code::kNotFound);
}

TEST_CASE("signals by name, number and enum") {
  CHECK(pods::parse_signal("SIGTERM").value() == 15);
  CHECK(pods::parse_signal("quit").value() == 3);
  CHECK(pods::parse_signal("9").value() == 9);
  CHECK(pods::parse_signal("SIGRTMIN+3").value() == 37);
  CHECK_FALSE(pods::parse_signal("65"));
  CHECK_FALSE(pods::parse_signal("NOPE"));
  CHECK(pods::stop_signal_number(v1::SIGNAL_RUNTIME_DEFAULT, "SIGQUIT").value() == 3);
  CHECK(pods::stop_signal_number(v1::SIGNAL_SIGUSR1, "SIGQUIT").value() == 10);
  CHECK(pods::stop_signal_number(v1::SIGNAL_SIGRTMAXMINUS1, "").value() == 63);
  CHECK(pods::stop_signal_number(v1::SIGNAL_RUNTIME_DEFAULT, "bogus").value() == 15);
  CHECK(pods::signal_enum(15) == v1::SIGNAL_SIGTERM);
}

TEST_CASE("an update changes what it names and leaves the rest") {
  v1::LinuxContainerResources now, change;
  now.set_cpu_shares(2);
  now.set_memory_limit_in_bytes(100);
  now.add_hugepage_limits()->set_page_size("2MB");
  change.set_cpu_shares(1024);
  pods::merge_resources(now, change);
  CHECK(now.cpu_shares() == 1024);
  CHECK(now.memory_limit_in_bytes() == 100);
  CHECK(now.hugepage_limits_size() == 1);
}

TEST_CASE("propagation is read from the mount a path lies on") {
  const char* table =
      "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
      "30 22 8:2 / /data rw shared:7 - ext4 /dev/sdb rw\n"
      "31 30 8:3 / /data/with\\040blank rw master:7 - ext4 /dev/sdc rw\n";
  CHECK_FALSE(pods::propagation_of("/etc", table).shared);
  CHECK(pods::propagation_of("/data/x", table).shared);
  CHECK_FALSE(pods::propagation_of("/database", table).shared);
  CHECK(pods::propagation_of("/data/with blank/y", table).slave);
}
