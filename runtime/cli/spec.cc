// SPDX-License-Identifier: Apache-2.0
// spec: a config.json to start from, as runc writes it.
#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/json_text.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kTemplate =
    R"json({"ociVersion":"1.3.0","process":{"terminal":true,"user":{"uid":0,"gid":0},"args":["sh"],
"env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","TERM=xterm"],"cwd":"/",
"capabilities":{"bounding":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],
"effective":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],"permitted":["CAP_AUDIT_WRITE","CAP_KILL",
"CAP_NET_BIND_SERVICE"]},"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}],
"noNewPrivileges":true},"root":{"path":"rootfs","readonly":true},"hostname":"berth",
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs",
"source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},{"destination":"/dev/pts",
"type":"devpts","source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620",
"gid=5"]},{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev",
"mode=1777","size=65536k"]},{"destination":"/dev/mqueue","type":"mqueue","source":"mqueue",
"options":["nosuid","noexec","nodev"]},{"destination":"/sys","type":"sysfs","source":"sysfs",
"options":["nosuid","noexec","nodev","ro"]},{"destination":"/sys/fs/cgroup","type":"cgroup",
"source":"cgroup","options":["nosuid","noexec","nodev","relatime","ro"]}],
"linux":{"resources":{"devices":[{"allow":false,"access":"rwm"}]},"namespaces":[{"type":"pid"},
{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"cgroup"}],
"maskedPaths":["/proc/acpi","/proc/asound","/proc/kcore","/proc/keys","/proc/latency_stats",
"/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/sys/firmware","/proc/scsi"],
"readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]}})json";

json::array one_mapping(unsigned host_id) {
  return {json::object{{"containerID", 0}, {"hostID", host_id}, {"size", 1}}};
}

// Without privileges there is no network namespace to set up, no sysfs to mount, no group 5 and no cgroup to write to.
void make_rootless(json::object& spec) {
  auto& section = spec["linux"].get_object();
  json::array namespaces;
  for (const auto& entry : section["namespaces"].get_array()) {
    if (entry.get_object().at("type").get_string() != "network") namespaces.push_back(entry);
  }
  namespaces.push_back(json::object{{"type", "user"}});
  section["namespaces"] = std::move(namespaces);
  section["uidMappings"] = one_mapping(::geteuid());
  section["gidMappings"] = one_mapping(::getegid());
  section.erase("resources");
  for (auto& entry : spec["mounts"].get_array()) {
    auto& mount = entry.get_object();
    const auto destination = mount.at("destination").get_string();
    if (destination == "/dev/pts") {
      json::array kept;
      for (const auto& option : mount["options"].get_array()) {
        if (option.get_string() != "gid=5") kept.push_back(option);
      }
      mount["options"] = std::move(kept);
    } else if (destination == "/sys") {
      mount["type"] = "none";
      mount["source"] = "/sys";
      mount["options"] = {"rbind", "nosuid", "noexec", "nodev", "ro"};
    }
  }
}

}  // namespace

Result<int> spec_command(const Context&, const Arguments& arguments) {
  boost::system::error_code error;
  json::value spec = json::parse({kTemplate.data(), kTemplate.size()}, error);
  if (error || !spec.is_object()) return fail(Code::kInternal, "the built-in config.json does not parse");
  if (arguments.flag("rootless")) make_rootless(spec.get_object());
  const std::string bundle = arguments.value("bundle");
  const std::string path = bundle.empty() ? "config.json" : concat(bundle, "/config.json");
  auto file = sys::open_path(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file && file.error().code() == Code::kAlreadyExists) {
    return fail(Code::kAlreadyExists, concat("File ", path, " exists. Remove it first"));
  }
  if (!file) return std::unexpected(std::move(file).error());
  TRY(sys::write_all(file->get(), pretty_json(spec, "\t")));
  return 0;
}

}  // namespace berth::cli
