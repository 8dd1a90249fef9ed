// SPDX-License-Identifier: Apache-2.0
#include "runtime/cgroup/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/strings.h"
#include "runtime/cgroup/control_file.h"
#include "runtime/sys/file.h"
#include "runtime/sys/path.h"

namespace berth::cgroup {
namespace {

constexpr unsigned kDirectoryMode = 0755;

Result<> check_path(std::string_view path) {
  for (const auto part : split(path, '/')) {
    if (part == "..")
      return fail(Code::kInvalidArgument, concat("cgroupsPath ", quote(path), ": must not hold \"..\""));
  }
  if (!path.starts_with('/') && std::ranges::count(path, ':') == 2) {
    return fail(Code::kInvalidArgument,
                concat("cgroupsPath ", quote(path), ": \"slice:prefix:name\" needs the systemd cgroup driver"));
  }
  return {};
}

// Without doubled or trailing slashes and "." parts; "/a/b" or "" for the root.
std::string clean(std::string_view path) {
  std::string out;
  for (const auto part : split(path, '/')) {
    if (!part.empty() && part != ".") out += concat('/', part);
  }
  return out;
}

// The caller's own cgroup as seen below the mount point.
std::string own_below_mount(const Hierarchy& hierarchy) {
  std::string_view own = hierarchy.own;
  const std::string root = clean(hierarchy.mount_root);
  if (!root.empty() && own.starts_with(root)) own.remove_prefix(root.size());
  // "/.." appears when the caller sits outside of its cgroup namespace's root: start from the mount then.
  return own.starts_with("/..") ? std::string() : clean(own);
}

bool has_cpuset(const std::vector<std::string>& controllers) {
  return std::ranges::find(controllers, std::string_view("cpuset")) != controllers.end();
}

// v1: a task cannot enter a cpuset without cpus or memory nodes, and a new directory has none.
Result<> fill_cpuset(const std::string& path) {
  const std::string parent = path.substr(0, path.rfind('/'));
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    TRY_ASSIGN(const std::string own, sys::read_file(concat(path, '/', file)));
    if (!trim(own).empty()) continue;
    TRY_ASSIGN(const std::string above, sys::read_file(concat(parent, '/', file)));
    TRY(sys::write_file_at(AT_FDCWD, concat(path, '/', file), trim(above)));
  }
  return {};
}

// mkdir -p below the mount point. `existed` tells about the last component.
Result<> make_v1_path(const std::string& path, const std::string& mount_point, bool cpuset, bool& existed) {
  existed = false;
  if (::mkdir(path.c_str(), kDirectoryMode) != 0) {
    if (errno == EEXIST) {
      existed = true;
      return {};
    }
    const size_t slash = path.rfind('/');
    if (errno != ENOENT || slash <= mount_point.size()) return fail_errno(concat("make cgroup ", quote(path)));
    bool parent_existed = false;
    TRY(make_v1_path(path.substr(0, slash), mount_point, cpuset, parent_existed));
    if (::mkdir(path.c_str(), kDirectoryMode) != 0) {
      if (errno != EEXIST) return fail_errno(concat("make cgroup ", quote(path)));
      existed = true;
      return {};
    }
  }
  if (cpuset) TRY(fill_cpuset(path));
  return {};
}

// v2: gives the children of `path` every controller that `path` has itself. A controller that cannot be enabled (the
// parent holds processes, a real-time task is about) is left out: the limit that needs it will say so.
Result<> enable_controllers(const std::string& path) {
  TRY_ASSIGN(const std::string available, sys::read_file(concat(path, "/cgroup.controllers")));
  TRY_ASSIGN(const std::string enabled, sys::read_file(concat(path, "/cgroup.subtree_control")));
  const auto have = split(trim(enabled), ' ');
  std::string missing;
  for (const auto name : split(trim(available), ' ')) {
    if (!name.empty() && std::ranges::find(have, name) == have.end())
      missing += concat(missing.empty() ? "" : " ", '+', name);
  }
  if (missing.empty()) return {};
  const std::string file = concat(path, "/cgroup.subtree_control");
  if (sys::write_file_at(AT_FDCWD, file, missing)) return {};
  for (const auto name : split(missing, ' ')) (void)sys::write_file_at(AT_FDCWD, file, name);
  return {};
}

}  // namespace

Result<Cgroup> Cgroup::locate(const Layout& layout, std::string_view cgroups_path, std::string_view id) {
  TRY(check_path(cgroups_path));
  const bool relative = !cgroups_path.empty() && !cgroups_path.starts_with('/');
  const std::string below = cgroups_path.empty() ? concat('/', id) : clean(cgroups_path);
  if (below.empty()) return fail(Code::kInvalidArgument, "cgroupsPath \"/\": the root cgroup cannot be a container's");
  Cgroup out;
  out.v2_ = layout.v2;
  for (const auto& hierarchy : layout.hierarchies) {
    std::string path = concat(hierarchy.mount_point, relative ? own_below_mount(hierarchy) : std::string(), below);
    if (layout.v2) out.paths_.emplace("", path);
    for (const auto& controller : hierarchy.controllers) out.paths_.emplace(controller, path);
    out.dirs_.push_back({std::move(path), hierarchy.mount_point, hierarchy.controllers, Fd()});
  }
  return out;
}

Result<Cgroup> Cgroup::open(const std::map<std::string, std::string>& paths) {
  Cgroup out;
  out.paths_ = paths;
  out.v2_ = paths.contains("");
  for (const auto& [controller, path] : paths) {
    const auto same = std::ranges::find_if(out.dirs_, [&](const Directory& other) { return other.path == path; });
    if (same != out.dirs_.end()) {
      same->controllers.push_back(controller);
      continue;
    }
    Fd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd && (errno == ENOENT || errno == ENODEV)) continue;
    if (!fd) return fail_errno(concat("open cgroup ", quote(path)));
    Directory directory{path, {}, {}, std::move(fd)};
    if (!controller.empty()) directory.controllers.push_back(controller);
    out.dirs_.push_back(std::move(directory));
  }
  return out;
}

Result<> Cgroup::make_v1(Directory& directory, bool& existed) {
  return make_v1_path(directory.path, directory.mount_point, has_cpuset(directory.controllers), existed);
}

Result<> Cgroup::make_v2(Directory& directory, bool& existed) {
  std::string path = directory.mount_point;
  for (const auto part : split(std::string_view(directory.path).substr(directory.mount_point.size() + 1), '/')) {
    TRY(enable_controllers(path));
    path += concat('/', part);
    existed = ::mkdir(path.c_str(), kDirectoryMode) != 0;
    if (existed && errno != EEXIST) return fail_errno(concat("make cgroup ", quote(path)));
  }
  return {};
}

Result<> Cgroup::create() {
  bool any_existed = false;
  for (auto& directory : dirs_) {
    bool existed = false;
    TRY(v2_ ? make_v2(directory, existed) : make_v1(directory, existed));
    any_existed = any_existed || existed;
    TRY_ASSIGN(directory.fd, sys::open_path(directory.path, O_PATH | O_DIRECTORY));
  }
  reused_ = any_existed;
  if (!any_existed) return {};
  TRY_ASSIGN(const auto pids, processes());
  if (!pids.empty()) {
    return fail(Code::kFailedPrecondition,
                concat("container's cgroup is not empty: ", pids.size(), " process(es) found"));
  }
  if (frozen()) return fail(Code::kFailedPrecondition, "container's cgroup unexpectedly frozen");
  return {};
}

const Cgroup::Directory* Cgroup::find(std::string_view controller) const {
  for (const auto& directory : dirs_) {
    if (v2_ || std::ranges::find(directory.controllers, controller) != directory.controllers.end()) return &directory;
  }
  return nullptr;
}

int Cgroup::dir(std::string_view controller) const {
  const Directory* found = find(controller);
  return found == nullptr ? -1 : found->fd.get();
}

int Cgroup::clone_fd() const { return v2_ && !dirs_.empty() ? dirs_.front().fd.get() : -1; }

Result<std::vector<Fd>> Cgroup::open_join_files() const {
  std::vector<Fd> out;
  for (const auto& directory : dirs_) {
    auto file = sys::open_at(directory.fd.get(), v2_ ? "cgroup.procs" : "tasks", O_WRONLY);
    if (!file) return std::unexpected(std::move(file).error().wrap(concat("join cgroup ", quote(directory.path))));
    out.push_back(std::move(*file));
  }
  return out;
}

Result<> Cgroup::add(pid_t pid) const {
  const std::string text = std::to_string(pid);
  for (const auto& directory : dirs_) {
    // EINVAL: the task is exiting or about to change its class (trap 58).
    for (int attempt = 0;; ++attempt) {
      auto written = sys::write_file_at(directory.fd.get(), "cgroup.procs", text);
      if (written) break;
      if (attempt == 5 || written.error().sys_errno() != EINVAL) {
        return std::unexpected(
            std::move(written).error().wrap(concat("add process ", pid, " to cgroup ", quote(directory.path))));
      }
      short_pause(50u << attempt);
    }
  }
  return {};
}

Result<Cgroup> Cgroup::child(std::string_view relative) const {
  const std::string below = clean(relative);
  if (below.empty() || relative.find("..") != relative.npos) {
    return fail(Code::kInvalidArgument, concat("bad sub cgroup path: ", quote(relative)));
  }
  Cgroup out;
  out.v2_ = v2_;
  for (const auto& directory : dirs_) {
    auto fd = sys::open_beneath(directory.fd.get(), below.substr(1), O_PATH | O_DIRECTORY);
    if (!fd) return std::unexpected(std::move(fd).error().wrap(concat("bad sub cgroup path ", quote(relative))));
    out.dirs_.push_back({directory.path + below, directory.mount_point, directory.controllers, std::move(*fd)});
    if (v2_) out.paths_.emplace("", directory.path + below);
    for (const auto& controller : directory.controllers) out.paths_.emplace(controller, directory.path + below);
  }
  return out;
}

}  // namespace berth::cgroup
