// SPDX-License-Identifier: Apache-2.0
// Names of images: the grammar of github.com/distribution/reference with docker's short forms.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::rootfs {

struct Reference {
  std::string domain;  // "docker.io", "127.0.0.1:5000", "[::1]:80"
  std::string path;    // "library/busybox"
  std::string tag;     // empty when only a digest was given
  std::string digest;  // "sha256:…" or empty

  std::string name() const { return domain + "/" + path; }
  // domain/path[:tag][@digest]
  std::string str() const;
  // What the store keeps as a name: name@digest when there is a digest (the tag is then only decoration), else name:tag.
  std::string key() const;
};

// Docker's rules: no domain → docker.io, one component there → library/, no tag and no digest → latest.
// kInvalidArgument naming the broken rule.
Result<Reference> parse_reference(std::string_view typed);

}  // namespace berth::rootfs
