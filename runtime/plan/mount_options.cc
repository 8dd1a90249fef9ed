// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/mount_options.h"

#include <linux/mount.h>
#include <sys/mount.h>

#include "runtime/base/strings.h"

namespace berth::plan {
namespace {

struct Attribute {
  const char* name;
  bool clear;
  uint64_t bits;
};

// Each also exists with an "r" in front: then it applies to the whole tree.
constexpr Attribute kAttributes[] = {
    {"ro", false, MOUNT_ATTR_RDONLY},          {"rw", true, MOUNT_ATTR_RDONLY},
    {"nosuid", false, MOUNT_ATTR_NOSUID},      {"suid", true, MOUNT_ATTR_NOSUID},
    {"nodev", false, MOUNT_ATTR_NODEV},        {"dev", true, MOUNT_ATTR_NODEV},
    {"noexec", false, MOUNT_ATTR_NOEXEC},      {"exec", true, MOUNT_ATTR_NOEXEC},
    {"nodiratime", false, MOUNT_ATTR_NODIRATIME}, {"diratime", true, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", false, MOUNT_ATTR_NOSYMFOLLOW}, {"symfollow", true, MOUNT_ATTR_NOSYMFOLLOW},
    {"relatime", false, MOUNT_ATTR_RELATIME},  {"norelatime", true, MOUNT_ATTR_RELATIME},
    {"noatime", false, MOUNT_ATTR_NOATIME},    {"atime", true, MOUNT_ATTR_NOATIME},
    {"strictatime", false, MOUNT_ATTR_STRICTATIME}, {"nostrictatime", true, MOUNT_ATTR_STRICTATIME},
};

struct Propagation {
  const char* name;
  uint64_t bits;
  bool recursive;
};

constexpr Propagation kPropagations[] = {
    {"private", MS_PRIVATE, false},       {"rprivate", MS_PRIVATE, true}, {"shared", MS_SHARED, false},
    {"rshared", MS_SHARED, true},         {"slave", MS_SLAVE, false},     {"rslave", MS_SLAVE, true},
    {"unbindable", MS_UNBINDABLE, false}, {"runbindable", MS_UNBINDABLE, true},
};

constexpr const char* kIgnored[] = {"defaults", "async", "nomand", "mand", "noiversion", "iversion", "loud", "silent",
                                    "remount", "lazytime", "nolazytime", "acl", "noacl"};

bool apply_attribute(MountOptions& out, std::string_view name) {
  for (const auto& entry : kAttributes) {
    const bool recursive = name.size() > 1 && name[0] == 'r' && name.substr(1) == entry.name;
    if (!recursive && name != entry.name) continue;
    uint64_t& set = recursive ? out.recursive_set : out.set;
    uint64_t& clear = recursive ? out.recursive_clear : out.clear;
    // The access time modes are one field: a setter replaces it, a clearer goes back to relatime (0).
    const bool atime = (entry.bits & MOUNT_ATTR__ATIME) != 0 || entry.bits == MOUNT_ATTR_RELATIME;
    if (atime) {
      set &= ~static_cast<uint64_t>(MOUNT_ATTR__ATIME);
      clear |= MOUNT_ATTR__ATIME;
      if (!entry.clear) set |= entry.bits;
    } else if (entry.clear) {
      set &= ~entry.bits;
      clear |= entry.bits;
    } else {
      set |= entry.bits;
      clear &= ~entry.bits;
    }
    return true;
  }
  return false;
}

bool apply_propagation(MountOptions& out, std::string_view name) {
  for (const auto& entry : kPropagations) {
    if (name != entry.name) continue;
    out.propagation = entry.bits;
    out.propagation_recursive = entry.recursive;
    return true;
  }
  return false;
}

bool is_ignored(std::string_view name) {
  for (const char* entry : kIgnored) {
    if (name == entry) return true;
  }
  return false;
}

}  // namespace

Result<MountOptions> parse_mount_options(const oci::Mount& mount) {
  MountOptions out;
  out.bind = mount.type == "bind";
  for (const auto& option : mount.options) {
    if (option == "bind" || option == "rbind") {
      out.bind = true;
      out.recursive = out.recursive || option == "rbind";
    } else if (option == "idmap" || option == "ridmap") {
      out.idmap = true;
      out.idmap_recursive = option == "ridmap";
    } else if (option == "tmpcopyup") {
      out.copy_up = true;
    } else if (option == "sync" || option == "dirsync") {
      out.data.push_back({option, "", true});
    } else if (option.empty() || is_ignored(option) || apply_propagation(out, option) || apply_attribute(out, option)) {
      continue;
    } else {
      const size_t equals = option.find('=');
      const bool flag = equals == std::string::npos;
      out.data.push_back({option.substr(0, equals), flag ? "" : option.substr(equals + 1), flag});
      out.has_mode = out.has_mode || option.starts_with("mode=");
    }
  }
  if (!mount.uid_mappings.empty()) out.idmap = true;
  if (out.bind && !out.data.empty()) {
    return fail(Code::kInvalidArgument, concat("mount ", quote(mount.destination), ": a bind mount takes no file system option ",
                                               quote(out.data.front().key)));
  }
  return out;
}

std::vector<std::string> known_mount_options() {
  std::vector<std::string> names = {"bind", "rbind", "idmap", "ridmap", "tmpcopyup", "sync", "dirsync"};
  for (const auto& entry : kAttributes) {
    names.emplace_back(entry.name);
    names.push_back(concat('r', entry.name));
  }
  for (const auto& entry : kPropagations) names.emplace_back(entry.name);
  for (const char* entry : kIgnored) names.emplace_back(entry);
  return names;
}

}  // namespace berth::plan
