// SPDX-License-Identifier: Apache-2.0
#include "rootfs/content/digest.h"

#include <algorithm>
#include <openssl/evp.h>

#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr size_t kHexSize = 64;
constexpr size_t kShownSize = 100;  // how much of a refused digest goes into the message

bool is_lower_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(Code::kInvalidArgument, concat("invalid digest ", quote(text.substr(0, kShownSize)), ": ", why));
  };
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return refuse("no algorithm before \":\"");
  if (!text.starts_with(kPrefix)) return refuse("the algorithm must be sha256");
  const std::string_view digits = text.substr(kPrefix.size());
  if (digits.size() != kHexSize) return refuse("sha256 needs 64 hexadecimal digits");
  if (!std::ranges::all_of(digits, is_lower_hex)) return refuse("not lower-case hexadecimal");
  Digest digest;
  digest.text_ = text;
  return digest;
}

Digest Digest::of(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Digest Digest::from_sha256_hex(std::string hex) {
  Digest digest;
  digest.text_ = concat(kPrefix, hex);
  return digest;
}

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { reset(); }
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::reset() { EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr); }

void Sha256::update(std::string_view bytes) { EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()); }

Digest Sha256::finish() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(context_->evp, raw, &size);
  reset();
  return Digest::from_sha256_hex(berth::hex({reinterpret_cast<const char*>(raw), size}));
}

}  // namespace berth::rootfs
