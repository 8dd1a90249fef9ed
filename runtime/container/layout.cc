// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/layout.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::container {

Result<> check_id(const std::string& id) {
  bool good = !id.empty() && id.size() <= 255 && id != "." && id != "..";
  for (const char c : id) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    good = good && (letter || c == '_' || c == '+' || c == '-' || c == '.');
  }
  if (!good) return fail(Code::kInvalidArgument, concat("invalid container ID format: ", quote(id)));
  return {};
}

std::string state_dir(const std::string& root, const std::string& id) { return concat(root, '/', id); }
std::string state_path(const std::string& root, const std::string& id) { return concat(root, '/', id, '/', kStateFile); }
std::string config_path(const std::string& root, const std::string& id) { return concat(root, '/', id, '/', kConfigFile); }

Result<Fd> make_state_dir(const std::string& root, const std::string& id) {
  TRY(check_id(id));
  const std::string path = state_dir(root, id);
  if (::mkdir(path.c_str(), 0711) != 0) {
    if (errno == ENOENT) {
      TRY(sys::make_directories(root, 0700));
      if (::mkdir(path.c_str(), 0711) == 0) return sys::open_path(path, O_RDONLY | O_DIRECTORY);
    }
    if (errno == EEXIST) return fail(Code::kAlreadyExists, "container with given ID already exists");
    return fail_errno(concat("make state directory ", quote(path)));
  }
  return sys::open_path(path, O_RDONLY | O_DIRECTORY);
}

Result<Fd> open_state_dir(const std::string& root, const std::string& id) {
  TRY(check_id(id));
  auto dir = sys::open_path(state_dir(root, id), O_RDONLY | O_DIRECTORY);
  if (!dir && (dir.error().sys_errno() == ENOENT || dir.error().sys_errno() == ENAMETOOLONG)) {
    return fail(Code::kNotFound, "container does not exist");
  }
  return dir;
}

}  // namespace berth::container
