// SPDX-License-Identifier: Apache-2.0
// Which uid, gid and groups a container's process gets, from the request, the image's USER and the image's /etc/passwd
// and /etc/group.
//
// Guards: CVE-2016-3697, CVE-2024-40635, CVE-2026-46680 — digits are always a number and never looked up as a name; a
// number out of range is an error and never wraps or falls back. CVE-2022-36109, CVE-2023-25173 — the primary group is
// always among the supplementary ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::pods {

struct UserRequest {
  std::optional<int64_t> uid;
  std::string name;  // run_as_username; not together with uid
  std::optional<int64_t> gid;
  std::vector<int64_t> supplemental_groups;
  bool strict_groups = false;  // the image's group memberships are left out (SupplementalGroupsPolicy Strict)
  std::string image_user;      // "", "user", "uid", "user:group", "uid:gid"
};

// Pure. `passwd` and `group` are the files' contents ("" when absent). kInvalidArgument for a group without a user, a
// number outside 0…2147483647, a name that no entry has. additional_gids are ascending and hold the primary gid.
Result<oci::User> resolve_user(const UserRequest& request, std::string_view passwd, std::string_view group);

// `path` (relative, e.g. "etc/passwd") as the overlay of `lower` (uppermost first) shows it; "" when absent. Resolved
// inside each layer, regular files only, at most 10 MiB. Whiteouts and opaque directories hide what lies below.
Result<std::string> read_image_file(const std::vector<std::string>& lower, const std::string& path);

// The kernel's range as Kubernetes allows it: decimal digits, at most 2147483647. Used for every id that people type.
Result<uint32_t> parse_user_number(std::string_view text);
bool is_all_digits(std::string_view text);

}  // namespace berth::pods
