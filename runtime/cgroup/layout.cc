// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "runtime/base/strings.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/sys/file.h"

namespace berth::cgroup {
namespace {

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct MountLine {
  std::string_view root;
  std::string_view mount_point;
  std::string_view type;
  std::string_view options;  // of the super block
};

// 36 35 98:0 /root /mount/point rw,opts [optional…] - type source superopts
bool parse_mount_line(std::string_view line, MountLine& out) {
  const auto fields = split(line, ' ');
  const auto dash = std::ranges::find(fields, std::string_view("-"));
  if (fields.size() < 10 || fields.end() - dash < 4 || dash - fields.begin() < 6) return false;
  out = {fields[3], fields[4], dash[1], dash[3]};
  return true;
}

bool is_flag(std::string_view option) {
  static constexpr std::string_view kFlags[] = {"rw",    "ro",         "noprefix",     "clone_children",
                                                "xattr", "nsdelegate", "favordynmods", "none"};
  return std::ranges::find(kFlags, option) != std::end(kFlags) || option.starts_with("release_agent=") ||
         option.starts_with("cpuset_");
}

std::vector<std::string> controllers_of(std::string_view options) {
  std::vector<std::string> out;
  for (const auto option : split(options, ',')) {
    if (!option.empty() && !is_flag(option)) out.emplace_back(option);
  }
  return out;
}

// The caller's cgroup in the hierarchy of `controllers` (empty: v2), "/" when the file does not tell.
std::string own_cgroup(std::string_view self_cgroup, const std::vector<std::string>& controllers) {
  for (const auto line : split(self_cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    bool match = controllers.empty() && names.empty();
    for (const auto name : split(names, ',')) {
      match = match || (!name.empty() && std::ranges::find(controllers, name) != controllers.end());
    }
    if (match) return std::string(line.substr(second + 1));
  }
  return "/";
}

}  // namespace

Result<Layout> parse_layout(std::string_view mountinfo, std::string_view self_cgroup) {
  Layout v1;
  Layout v2{.v2 = true, .hierarchies = {}};
  bool real_controller = false;
  for (const auto line : split(mountinfo, '\n')) {
    // Most lines are other file systems: dropped before they are taken apart.
    MountLine mount;
    if (line.find(" - cgroup") == line.npos || !parse_mount_line(line, mount)) continue;
    Hierarchy entry{
        .controllers = {}, .mount_point = unescape(mount.mount_point), .mount_root = unescape(mount.root), .own = {}};
    if (mount.type == "cgroup2") {
      entry.own = own_cgroup(self_cgroup, {});
      // A second mount of the same hierarchy (a bind somewhere) tells nothing new.
      if (v2.hierarchies.empty()) v2.hierarchies.push_back(std::move(entry));
    } else if (mount.type == "cgroup") {
      entry.controllers = controllers_of(mount.options);
      if (entry.controllers.empty()) continue;
      const bool seen = std::ranges::any_of(
          v1.hierarchies, [&](const Hierarchy& other) { return other.controllers == entry.controllers; });
      if (seen) continue;
      real_controller = real_controller || !entry.controllers.front().starts_with("name=");
      entry.own = own_cgroup(self_cgroup, entry.controllers);
      v1.hierarchies.push_back(std::move(entry));
    }
  }
  if (real_controller) return v1;
  if (!v2.hierarchies.empty()) return v2;
  return fail(Code::kUnavailable, "no cgroup file system is mounted");
}

Result<Layout> detect() {
  TRY_ASSIGN(const auto mountinfo, sys::read_file("/proc/self/mountinfo"));
  TRY_ASSIGN(const auto own, sys::read_file("/proc/self/cgroup"));
  return parse_layout(mountinfo, own);
}

}  // namespace berth::cgroup
