// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/user.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <limits>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/path.h"

namespace berth::pods {
namespace {

constexpr size_t kAccountFileLimit = 10u << 20;
constexpr int64_t kIdLimit = std::numeric_limits<int32_t>::max();

struct PasswdEntry {
  std::string_view name;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Calls `visit(fields)` for each line with at least `fields` colon-separated parts until it returns false.
template <typename Visit>
void each_line(std::string_view text, size_t fields, Visit visit) {
  for (const std::string_view line : split(text, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() >= fields && !parts[0].empty() && !visit(parts)) return;
  }
}

template <typename Match>
std::optional<PasswdEntry> find_account(std::string_view passwd, Match match) {
  std::optional<PasswdEntry> found;
  each_line(passwd, 4, [&](const std::vector<std::string_view>& parts) {
    const auto uid = parse_uint32(parts[2]);
    const auto gid = parse_uint32(parts[3]);
    if (!uid || !gid) return true;
    const PasswdEntry entry{parts[0], *uid, *gid};
    if (!match(entry)) return true;
    found = entry;
    return false;
  });
  return found;
}

Result<uint32_t> find_group(std::string_view group, std::string_view name) {
  std::optional<uint32_t> found;
  each_line(group, 3, [&](const std::vector<std::string_view>& parts) {
    const auto gid = parse_uint32(parts[2]);
    if (parts[0] != name || !gid) return true;
    found = gid;
    return false;
  });
  if (!found) return fail(Code::kInvalidArgument, concat("group ", quote(name), " is not in the image's /etc/group"));
  return *found;
}

// What looks like an attempt at a number must not be taken for a name.
Result<> check_account_name(std::string_view name) {
  const bool sign = name.starts_with('+') || name.starts_with('-');
  const bool hexadecimal = name.starts_with("0x") || name.starts_with("0X");
  const bool odd =
      std::any_of(name.begin(), name.end(), [](unsigned char c) { return c <= ' ' || c == ':' || c == 0x7f; });
  if (name.empty() || sign || hexadecimal || odd) {
    return fail(Code::kInvalidArgument, concat("user or group ", quote(name), " is neither a number nor a name"));
  }
  return {};
}

Result<uint32_t> number_from_request(int64_t value, std::string_view what) {
  if (value < 0 || value > kIdLimit) {
    return fail(Code::kInvalidArgument, concat(what, " ", value, " is outside 0…2147483647"));
  }
  return uint32_t(value);
}

void sort_unique(std::vector<uint32_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

struct Identity {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string name;  // empty: no entry in passwd
};

Result<Identity> identity_of(std::string_view user, std::string_view passwd) {
  Identity identity;
  if (is_all_digits(user)) {
    TRY_ASSIGN(identity.uid, parse_user_number(user), "user");
    const auto entry = find_account(passwd, [&](const PasswdEntry& e) { return e.uid == identity.uid; });
    if (entry) {
      identity.gid = entry->gid;
      identity.name = entry->name;
    }
    return identity;
  }
  TRY(check_account_name(user));
  const auto entry = find_account(passwd, [&](const PasswdEntry& e) { return e.name == user; });
  if (!entry) return fail(Code::kInvalidArgument, concat("user ", quote(user), " is not in the image's /etc/passwd"));
  return Identity{entry->uid, entry->gid, std::string(entry->name)};
}

// The file's state in one layer.
enum class Found : unsigned char { kHere, kHidden, kBelow };

bool is_opaque(const Fd& layer, const std::string& directory) {
  auto fd = sys::open_beneath(layer.get(), directory, O_RDONLY | O_DIRECTORY);
  if (!fd) return false;
  char value = 0;
  return ::fgetxattr(fd->get(), "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

Result<Found> read_from_layer(const Fd& layer, const std::string& path, std::string& content) {
  auto handle = sys::open_in_root(layer.get(), path, O_PATH);
  if (!handle) {
    const int error = handle.error().sys_errno();
    if (error != ENOENT && error != ENOTDIR) return std::unexpected(std::move(handle).error());
    const std::string parent = path.substr(0, path.rfind('/'));
    if (parent.size() == path.size()) return Found::kBelow;
    if (error == ENOTDIR || is_opaque(layer, parent)) return Found::kHidden;
    return Found::kBelow;
  }
  struct stat st{};
  if (::fstat(handle->get(), &st) != 0) return fail_errno(concat("stat ", quote(path)));
  if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) return Found::kHidden;  // overlay's whiteout
  if (!S_ISREG(st.st_mode))
    return fail(Code::kInvalidArgument, concat("image file ", quote(path), " is no regular file"));
  TRY_ASSIGN(const Fd file, sys::open_path(sys::fd_path(handle->get()), O_RDONLY | O_NONBLOCK));
  TRY_ASSIGN(content, sys::read_all(file.get(), kAccountFileLimit), concat("image file ", quote(path)));
  return Found::kHere;
}

}  // namespace

bool is_all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<uint32_t> parse_user_number(std::string_view text) {
  const auto value = is_all_digits(text) ? parse_uint64(text) : std::nullopt;
  if (!value || *value > uint64_t(kIdLimit)) {
    return fail(Code::kInvalidArgument, concat("number ", quote(text), " is outside 0…2147483647"));
  }
  return uint32_t(*value);
}

Result<oci::User> resolve_user(const UserRequest& request, std::string_view passwd, std::string_view group) {
  if (request.uid && !request.name.empty()) {
    return fail(Code::kInvalidArgument, "run_as_user and run_as_username exclude each other");
  }
  if (request.gid && !request.uid && request.name.empty()) {
    return fail(Code::kInvalidArgument, "run_as_group is set without run_as_user or run_as_username");
  }
  std::string user = request.image_user;
  if (request.uid) {
    TRY(number_from_request(*request.uid, "run_as_user"));
    user = std::to_string(*request.uid);
  } else if (!request.name.empty()) {
    user = request.name;
  }
  std::optional<std::string_view> group_part;
  std::string_view user_part = user;
  if (const auto colon = user_part.find(':'); colon != std::string_view::npos) {
    group_part = user_part.substr(colon + 1);
    user_part = user_part.substr(0, colon);
  }
  Identity identity;
  if (user.empty()) {
    TRY_ASSIGN(identity, identity_of("0", passwd));
  } else {
    TRY_ASSIGN(identity, identity_of(user_part, passwd));
  }
  if (group_part) {
    if (is_all_digits(*group_part)) {
      TRY_ASSIGN(identity.gid, parse_user_number(*group_part), "group");
    } else {
      TRY(check_account_name(*group_part));
      TRY_ASSIGN(identity.gid, find_group(group, *group_part));
    }
  }
  if (request.gid) {
    TRY_ASSIGN(identity.gid, number_from_request(*request.gid, "run_as_group"));
  }
  oci::User resolved;
  resolved.uid = identity.uid;
  resolved.gid = identity.gid;
  resolved.additional_gids.push_back(identity.gid);
  for (const int64_t gid : request.supplemental_groups) {
    TRY_ASSIGN(const uint32_t number, number_from_request(gid, "supplemental group"));
    resolved.additional_gids.push_back(number);
  }
  if (!request.strict_groups && !identity.name.empty()) {
    each_line(group, 4, [&](const std::vector<std::string_view>& parts) {
      const auto gid = parse_uint32(parts[2]);
      const auto members = split(parts[3], ',');
      if (gid && std::find(members.begin(), members.end(), identity.name) != members.end()) {
        resolved.additional_gids.push_back(*gid);
      }
      return true;
    });
  }
  sort_unique(resolved.additional_gids);
  return resolved;
}

Result<std::string> read_image_file(const std::vector<std::string>& lower, const std::string& path) {
  std::string content;
  for (const std::string& directory : lower) {
    TRY_ASSIGN(const Fd layer, sys::open_path(directory, O_PATH | O_DIRECTORY));
    TRY_ASSIGN(const Found found, read_from_layer(layer, path, content));
    if (found == Found::kHere) return content;
    if (found == Found::kHidden) return std::string();
  }
  return std::string();
}

}  // namespace berth::pods
