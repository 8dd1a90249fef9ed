// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/options.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <string>

#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

const OptionSpec* find_name(std::span<const OptionSpec> specs, std::string_view name) {
  const auto found = std::ranges::find(specs, name, &OptionSpec::name);
  return found == specs.end() ? nullptr : &*found;
}

const OptionSpec* find_letter(std::span<const OptionSpec> specs, char letter) {
  const auto found = std::ranges::find(specs, letter, &OptionSpec::letter);
  return letter == 0 || found == specs.end() ? nullptr : &*found;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

struct Found {
  const OptionSpec* spec = nullptr;
  std::optional<std::string_view> value;
};

// Long names first, with one dash or two; then letters.
Result<std::vector<Found>> look_up(std::string_view word, std::span<const OptionSpec> specs) {
  const bool two = word.starts_with("--");
  const std::string_view body = word.substr(two ? 2 : 1);
  const size_t equals = body.find('=');
  const std::string_view name = body.substr(0, equals);
  const auto value = equals == body.npos ? std::nullopt : std::optional(body.substr(equals + 1));
  if (const auto* spec = find_name(specs, name)) return std::vector<Found>{{spec, value}};
  const auto unknown = [&] { return fail(Code::kInvalidArgument, concat("flag provided but not defined: -", name)); };
  if (two) return unknown();
  std::vector<Found> out;
  for (size_t i = 0; i < name.size(); ++i) {
    const auto* spec = find_letter(specs, name[i]);
    if (spec == nullptr) return unknown();
    const bool last = i + 1 == name.size();
    if (spec->takes_value && !last) {
      out.push_back({spec, body.substr(i + 1)});
      return out;
    }
    out.push_back({spec, last ? value : std::nullopt});
  }
  return out;
}

}  // namespace

bool Arguments::flag(std::string_view name) const {
  const auto found = options_.find(name);
  return found != options_.end() && found->second.back() != "false" && found->second.back() != "0";
}

std::string Arguments::value(std::string_view name) const {
  const auto found = options_.find(name);
  return found == options_.end() ? std::string() : found->second.back();
}

std::vector<std::string> Arguments::values(std::string_view name) const {
  const auto found = options_.find(name);
  return found == options_.end() ? std::vector<std::string>() : found->second;
}

Result<Arguments> parse_options(std::span<const std::string_view> words, std::span<const OptionSpec> specs,
                                std::optional<size_t> stop_after) {
  Arguments out;
  bool only_positional = stop_after && *stop_after == 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (only_positional || word == "-" || !word.starts_with('-')) {
      out.positional_.emplace_back(word);
      only_positional = only_positional || (stop_after && out.positional_.size() >= *stop_after);
      continue;
    }
    if (word == "--") {
      only_positional = true;
      continue;
    }
    if (word == "--help" || word == "-help" || (word == "-h" && find_letter(specs, 'h') == nullptr)) {
      out.help_ = true;
      continue;
    }
    TRY_ASSIGN(const auto found, look_up(word, specs));
    for (const auto& entry : found) {
      std::optional<std::string_view> value = entry.value;
      if (!value && entry.spec->takes_value) {
        if (i + 1 == words.size()) {
          return fail(Code::kInvalidArgument, concat("flag needs an argument: -", entry.spec->name));
        }
        value = words[++i];
      }
      auto& values = out.options_.try_emplace(std::string(entry.spec->name)).first->second;
      values.emplace_back(value.value_or("true"));
    }
  }
  return out;
}

std::optional<int64_t> parse_bytes(std::string_view text) {
  if (const auto plain = parse_int64(text)) return *plain >= -1 ? plain : std::nullopt;
  const size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == text.npos) return std::nullopt;
  const auto number = parse_int64(text.substr(0, digits));
  std::string suffix = lower(trim(text.substr(digits)));
  if (suffix.ends_with("ib")) suffix.resize(suffix.size() - 2);
  if (suffix.size() == 2 && suffix.ends_with('b')) suffix.pop_back();
  if (!number || suffix.size() != 1) return std::nullopt;
  const size_t power = std::string_view("bkmgtp").find(suffix[0]);
  if (power == std::string_view::npos) return std::nullopt;
  int64_t out = 0;
  if (__builtin_mul_overflow(*number, int64_t{1} << (10 * power), &out)) return std::nullopt;
  return out;
}

std::optional<int> parse_signal(std::string_view text) {
  if (const auto number = parse_uint32(text)) {
    return *number <= 64 ? std::optional(static_cast<int>(*number)) : std::nullopt;
  }
  std::string name = lower(text);
  if (name.starts_with("sig")) name.erase(0, 3);
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (name == "RTMIN") return 34;
  if (name == "RTMAX") return 64;
  if (name == "CLD") return SIGCHLD;
  if (name == "IOT") return SIGABRT;
  const bool from_min = name.starts_with("RTMIN+");
  if (from_min || name.starts_with("RTMAX-")) {
    const auto offset = parse_uint32(std::string_view(name).substr(6));
    if (!offset || *offset > 30) return std::nullopt;
    return from_min ? 34 + static_cast<int>(*offset) : 64 - static_cast<int>(*offset);
  }
  for (int signal = 1; signal < 32; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  return std::nullopt;
}

std::optional<int64_t> parse_duration_ms(std::string_view text) {
  int64_t total = 0;
  if (text.empty()) return std::nullopt;
  if (const auto seconds = parse_uint32(text)) return static_cast<int64_t>(*seconds) * 1000;
  while (!text.empty()) {
    const size_t digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == text.npos) return std::nullopt;
    const auto number = parse_uint32(text.substr(0, digits));
    text.remove_prefix(digits);
    const size_t letters = std::min(text.find_first_of("0123456789"), text.size());
    const std::string_view unit = text.substr(0, letters);
    const int64_t scale = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : unit == "h" ? 3'600'000 : 0;
    if (!number || scale == 0) return std::nullopt;
    total += *number * scale;
    text.remove_prefix(letters);
  }
  return total;
}

}  // namespace berth::cli
