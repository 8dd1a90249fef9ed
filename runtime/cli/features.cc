// SPDX-License-Identifier: Apache-2.0
// features: what engines ask before they use an option (containerd: rro, idmapped mounts). Nothing on standard error.
#include <span>
#include <string_view>

#include "runtime/cli/commands.h"
#include "runtime/cli/json_text.h"
#include "runtime/cli/report.h"
#include "runtime/cli/version.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

namespace json = boost::json;
using Names = std::span<const std::string_view>;

constexpr std::string_view kHooks[] = {"prestart",       "createRuntime", "createContainer",
                                       "startContainer", "poststart",     "poststop"};
constexpr std::string_view kMountOptions[] = {"async",         "atime",        "bind",
                                              "defaults",      "dev",          "diratime",
                                              "dirsync",       "exec",         "idmap",
                                              "iversion",      "lazytime",     "loud",
                                              "mand",          "noatime",      "nodev",
                                              "nodiratime",    "noexec",       "noiversion",
                                              "nolazytime",    "nomand",       "norelatime",
                                              "nostrictatime", "nosuid",       "nosymfollow",
                                              "private",       "ratime",       "rbind",
                                              "rdev",          "rdiratime",    "relatime",
                                              "remount",       "rexec",        "ridmap",
                                              "rnoatime",      "rnodev",       "rnodiratime",
                                              "rnoexec",       "rnorelatime",  "rnostrictatime",
                                              "rnosuid",       "rnosymfollow", "ro",
                                              "rprivate",      "rrelatime",    "rro",
                                              "rrw",           "rshared",      "rslave",
                                              "rstrictatime",  "rsuid",        "rsymfollow",
                                              "runbindable",   "rw",           "shared",
                                              "silent",        "slave",        "strictatime",
                                              "suid",          "symfollow",    "sync",
                                              "tmpcopyup",     "unbindable"};
constexpr std::string_view kNamespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
constexpr std::string_view kCapabilities[] = {"CAP_CHOWN",
                                              "CAP_DAC_OVERRIDE",
                                              "CAP_DAC_READ_SEARCH",
                                              "CAP_FOWNER",
                                              "CAP_FSETID",
                                              "CAP_KILL",
                                              "CAP_SETGID",
                                              "CAP_SETUID",
                                              "CAP_SETPCAP",
                                              "CAP_LINUX_IMMUTABLE",
                                              "CAP_NET_BIND_SERVICE",
                                              "CAP_NET_BROADCAST",
                                              "CAP_NET_ADMIN",
                                              "CAP_NET_RAW",
                                              "CAP_IPC_LOCK",
                                              "CAP_IPC_OWNER",
                                              "CAP_SYS_MODULE",
                                              "CAP_SYS_RAWIO",
                                              "CAP_SYS_CHROOT",
                                              "CAP_SYS_PTRACE",
                                              "CAP_SYS_PACCT",
                                              "CAP_SYS_ADMIN",
                                              "CAP_SYS_BOOT",
                                              "CAP_SYS_NICE",
                                              "CAP_SYS_RESOURCE",
                                              "CAP_SYS_TIME",
                                              "CAP_SYS_TTY_CONFIG",
                                              "CAP_MKNOD",
                                              "CAP_LEASE",
                                              "CAP_AUDIT_WRITE",
                                              "CAP_AUDIT_CONTROL",
                                              "CAP_SETFCAP",
                                              "CAP_MAC_OVERRIDE",
                                              "CAP_MAC_ADMIN",
                                              "CAP_SYSLOG",
                                              "CAP_WAKE_ALARM",
                                              "CAP_BLOCK_SUSPEND",
                                              "CAP_AUDIT_READ",
                                              "CAP_PERFMON",
                                              "CAP_BPF",
                                              "CAP_CHECKPOINT_RESTORE"};
constexpr std::string_view kSeccompActions[] = {"SCMP_ACT_ALLOW",        "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
                                                "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                                "SCMP_ACT_NOTIFY",       "SCMP_ACT_TRACE",       "SCMP_ACT_TRAP"};
constexpr std::string_view kSeccompOperators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE",        "SCMP_CMP_GT", "SCMP_CMP_LE",
                                                  "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"};
constexpr std::string_view kSeccompArchitectures[] = {
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",      "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64",  "SCMP_ARCH_S390",        "SCMP_ARCH_S390X",  "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",     "SCMP_ARCH_X86_64"};
constexpr std::string_view kSeccompFlags[] = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                              "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
constexpr std::string_view kMemoryModes[] = {
    "MPOL_BIND",      "MPOL_DEFAULT",        "MPOL_INTERLEAVE",         "MPOL_LOCAL",
    "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE"};
constexpr std::string_view kMemoryFlags[] = {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"};

json::array array_of(Names names) {
  json::array out;
  for (const auto name : names) out.push_back(json::string_view(name.data(), name.size()));
  return out;
}

json::object linux_features() {
  json::object out;
  out["namespaces"] = array_of(kNamespaces);
  out["capabilities"] = array_of(kCapabilities);
  out["cgroup"] = json::object{{"v1", true}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", true}};
  out["seccomp"] = json::object{{"enabled", true},
                                {"actions", array_of(kSeccompActions)},
                                {"operators", array_of(kSeccompOperators)},
                                {"archs", array_of(kSeccompArchitectures)},
                                {"knownFlags", array_of(kSeccompFlags)},
                                {"supportedFlags", array_of(kSeccompFlags)}};
  out["apparmor"] = json::object{{"enabled", true}};
  out["selinux"] = json::object{{"enabled", true}};
  out["intelRdt"] = json::object{{"enabled", true}, {"schemata", true}, {"monitoring", true}};
  out["memoryPolicy"] = json::object{{"modes", array_of(kMemoryModes)}, {"flags", array_of(kMemoryFlags)}};
  out["mountExtensions"] = json::object{{"idmap", json::object{{"enabled", true}}}};
  out["netDevices"] = json::object{{"enabled", true}};
  return out;
}

}  // namespace

Result<int> features_command(const Context&, const Arguments&) {
  json::object out;
  out["ociVersionMin"] = "1.0.0";
  out["ociVersionMax"] = kSpecVersion;
  out["hooks"] = array_of(kHooks);
  out["mountOptions"] = array_of(kMountOptions);
  out["linux"] = linux_features();
  out["annotations"] =
      json::object{{"io.berth.version", kVersion}, {"org.opencontainers.runc.checkpoint.enabled", "false"}};
  TRY(print(pretty_json(out, "    ") + "\n"));
  return 0;
}

}  // namespace berth::cli
