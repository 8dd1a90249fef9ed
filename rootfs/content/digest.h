// SPDX-License-Identifier: Apache-2.0
// Digests: validated before any use (a digest becomes a file name), computed over received bytes only.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::rootfs {

// "sha256:" and 64 lower-case hexadecimal digits. An empty Digest is only the default value, never the result of parse().
class Digest {
 public:
  Digest() = default;
  // kInvalidArgument for what the grammar of image-spec descriptor.md refuses and for algorithms other than sha256.
  static Result<Digest> parse(std::string_view text);
  static Digest of(std::string_view bytes);
  // `hex` must be 64 digits made by Sha256.
  static Digest from_sha256_hex(std::string hex);

  const std::string& str() const { return text_; }
  std::string_view hex() const { return std::string_view(text_).substr(7); }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Digest&) const = default;

 private:
  std::string text_;
};

// Streaming SHA-256. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(std::string_view bytes);
  // The digest of everything so far; the object starts again from nothing.
  Digest finish();
  void reset();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace berth::rootfs
