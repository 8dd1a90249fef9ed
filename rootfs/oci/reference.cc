// SPDX-License-Identifier: Apache-2.0
// The grammar, from distribution/reference:
//   reference  := name [ ":" tag ] [ "@" digest ]          name := [domain "/"] component ("/" component)*
//   component  := [a-z0-9]+ ( ( "." | "_" | "__" | "-"+ ) [a-z0-9]+ )*
//   domain     := host [":" port]; host := label ("." label)* | "[" ipv6 "]"; label := alnum ([alnum-]* alnum)?
//   tag        := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
#include "rootfs/oci/reference.h"

#include <algorithm>

#include "rootfs/content/digest.h"
#include "rootfs/images.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;
constexpr size_t kMaxTyped = 2048;
constexpr std::string_view kDefaultDomain = "docker.io";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alnum(char c) { return is_digit(c) || is_lower(c) || is_upper(c); }
bool is_path_char(char c) { return is_digit(c) || is_lower(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

bool is_bare_id(std::string_view text) { return text.size() == 64 && std::ranges::all_of(text, is_hex); }

bool valid_label(std::string_view label) {
  if (label.empty() || !is_alnum(label.front()) || !is_alnum(label.back())) return false;
  return std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; });
}

bool valid_port(std::string_view port) {
  const auto number = parse_uint32(port);
  return number.has_value() && *number <= 65535;
}

bool valid_domain(std::string_view domain) {
  std::string_view host = domain;
  if (domain.starts_with('[')) {
    const size_t close = domain.find(']');
    if (close == std::string_view::npos || close < 2) return false;
    const auto inner = domain.substr(1, close - 1);
    if (!std::ranges::all_of(inner, [](char c) { return is_hex(c) || (c >= 'A' && c <= 'F') || c == ':'; })) return false;
    const auto rest = domain.substr(close + 1);
    return rest.empty() || (rest.starts_with(':') && valid_port(rest.substr(1)));
  }
  if (const size_t colon = domain.find(':'); colon != std::string_view::npos) {
    if (!valid_port(domain.substr(colon + 1))) return false;
    host = domain.substr(0, colon);
  }
  return std::ranges::all_of(split(host, '.'), valid_label);
}

// The length of the separator at the front of `text`: ".", "_", "__" or any number of "-"; 0 when none.
size_t separator_size(std::string_view text) {
  if (text.starts_with("__")) return 2;
  if (text.starts_with('.') || text.starts_with('_')) return 1;
  const size_t dashes = text.find_first_not_of('-');
  return dashes == std::string_view::npos ? text.size() : dashes;
}

bool valid_component(std::string_view text) {
  while (true) {
    size_t size = 0;
    while (size < text.size() && is_path_char(text[size])) ++size;
    if (size == 0) return false;
    text.remove_prefix(size);
    if (text.empty()) return true;
    const size_t gap = separator_size(text);
    if (gap == 0) return false;
    text.remove_prefix(gap);
  }
}

bool valid_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTag || tag.front() == '.' || tag.front() == '-') return false;
  return std::ranges::all_of(tag, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

// "a/b" → {"docker.io", "a/b"}; "host:1/b" → {"host:1", "b"}: the first component is a domain when it looks like one.
std::pair<std::string, std::string> split_domain(std::string_view name) {
  const size_t slash = name.find('/');
  const auto first = name.substr(0, slash);
  const bool looks_like_domain = slash != std::string_view::npos &&
                                 (first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
                                  std::ranges::any_of(first, is_upper));
  if (!looks_like_domain) return {std::string(kDefaultDomain), std::string(name)};
  return {first == "index.docker.io" ? std::string(kDefaultDomain) : std::string(first), std::string(name.substr(slash + 1))};
}

std::unexpected<Error> refuse(std::string_view typed, std::string_view why) {
  return fail(Code::kInvalidArgument, concat("invalid image reference ", quote(typed.substr(0, 200)), ": ", why));
}

Result<> check_name(std::string_view typed, const Reference& reference) {
  if (!valid_domain(reference.domain)) return refuse(typed, concat(quote(reference.domain), " is not a host name with optional port"));
  if (reference.path.empty()) return refuse(typed, "the repository name is empty");
  if (reference.path.size() > kMaxName) return refuse(typed, "the repository name is longer than 255 characters");
  if (std::ranges::any_of(reference.path, is_upper)) return refuse(typed, "the repository name must be lower case");
  for (const auto component : split(reference.path, '/')) {
    if (!valid_component(component)) return refuse(typed, concat(quote(component), " is not a valid part of a repository name"));
  }
  return {};
}

}  // namespace

std::string Reference::str() const {
  std::string text = name();
  if (!tag.empty()) text += concat(":", tag);
  if (!digest.empty()) text += concat("@", digest);
  return text;
}

std::string Reference::key() const {
  return digest.empty() ? concat(name(), ":", tag) : concat(name(), "@", digest);
}

Result<Reference> parse_reference(std::string_view typed) {
  if (typed.empty()) return refuse(typed, "it is empty");
  if (typed.size() > kMaxTyped) return refuse(typed, "it is longer than 2048 characters");
  if (typed.find("://") != std::string_view::npos) return refuse(typed, "it is a URL: leave the scheme out");
  if (is_bare_id(typed) || (typed.starts_with("sha256:") && is_bare_id(typed.substr(7)))) {
    return refuse(typed, "it is the id of an image, not a name");
  }
  Reference reference;
  std::string_view rest = typed;
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    TRY_ASSIGN(const Digest digest, Digest::parse(rest.substr(at + 1)), concat("invalid image reference ", quote(typed.substr(0, 200))));
    reference.digest = digest.str();
    rest = rest.substr(0, at);
  }
  const size_t slash = rest.rfind('/');
  const size_t last_start = slash == std::string_view::npos ? 0 : slash + 1;
  if (const size_t colon = rest.find(':', last_start); colon != std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    if (!valid_tag(reference.tag)) {
      return refuse(typed, concat(quote(reference.tag), " is not a tag: 1 to 128 letters, digits, \"_\", \".\", \"-\", not starting with \".\" or \"-\""));
    }
    rest = rest.substr(0, colon);
  }
  std::tie(reference.domain, reference.path) = split_domain(rest);
  if (reference.domain == kDefaultDomain && reference.path.find('/') == std::string::npos && !reference.path.empty()) {
    if (is_bare_id(reference.path)) return refuse(typed, "a repository cannot be named like the id of an image");
    reference.path = concat("library/", reference.path);
  }
  TRY(check_name(typed, reference));
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  return reference;
}

Result<std::string> normalize_reference(const std::string& typed) {
  TRY_ASSIGN(const Reference reference, parse_reference(typed));
  return reference.str();
}

}  // namespace berth::rootfs
