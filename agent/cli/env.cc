// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/env.h"

#include <sys/random.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

void set(EnvList& env, std::string_view key, std::string_view value) {
  for (auto& [known, old] : env) {
    if (known == key) {
      old = value;
      return;
    }
  }
  env.emplace_back(key, value);
}

bool is_name_char(char c, bool first) {
  const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alnum || (!first && (c == '_' || c == '.' || c == '-'));
}

constexpr const char* kAdjectives[] = {
    "able",  "amber",  "bold",   "brave", "brisk",  "calm",   "clear", "clever", "crisp",  "eager",
    "early", "fair",   "firm",   "fond",  "fresh",  "gentle", "glad",  "grand",  "happy",  "keen",
    "kind",  "light",  "lively", "lucky", "mellow", "merry",  "mild",  "neat",   "noble",  "patient",
    "plain", "proud",  "quick",  "quiet", "ready",  "round",  "sharp", "sleepy", "smooth", "steady",
    "still", "sturdy", "sunny",  "swift", "tidy",   "true",   "vivid", "warm",   "wise",   "witty"};
constexpr const char* kNouns[] = {
    "anchor",  "barge",   "bay",        "beacon", "bollard", "bow",      "breeze", "buoy",    "cabin", "canal",
    "capstan", "coast",   "compass",    "crane",  "crew",    "current",  "deck",   "dinghy",  "dock",  "ferry",
    "galley",  "gull",    "harbour",    "hatch",  "helm",    "hull",     "island", "jetty",   "keel",  "kelp",
    "lagoon",  "lantern", "lighthouse", "lock",   "mast",    "mooring",  "oar",    "pelican", "pier",  "pilot",
    "port",    "quay",    "reef",       "rudder", "sail",    "schooner", "seal",   "skiff",   "sloop", "spar",
    "tide",    "trawler", "tug",        "wake",   "wave",    "wharf"};

}  // namespace

Result<> add_env(EnvList& env, std::string_view text) {
  const size_t equals = text.find('=');
  const std::string key(text.substr(0, equals));
  if (key.empty())
    return fail(Code::kInvalidArgument, concat("environment variable ", quote(text), ": the name is empty"));
  if (equals != std::string_view::npos) {
    set(env, key, text.substr(equals + 1));
  } else if (const char* value = ::getenv(key.c_str()); value != nullptr) {
    set(env, key, value);
  }
  return {};
}

Result<> add_env_file(EnvList& env, std::string_view content, const std::string& name) {
  size_t number = 0;
  for (std::string_view line : split(content, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::string_view key = line.substr(0, line.find('='));
    if (key.find_first_of(" \t") != std::string_view::npos) {
      return fail(Code::kInvalidArgument, concat("env file ", quote(name), ": line ", number, ": the name ", quote(key),
                                                 " contains white space"));
    }
    TRY(add_env(env, line), concat("env file ", quote(name), ": line ", number));
  }
  return {};
}

Result<UserText> parse_user(std::string_view text) {
  UserText user;
  const size_t colon = text.find(':');
  const std::string_view first = text.substr(0, colon);
  if (first.empty()) return fail(Code::kInvalidArgument, concat("user ", quote(text), ": the name is empty"));
  if (const auto uid = parse_uint32(first))
    user.uid = *uid;
  else
    user.name = first;
  if (colon == std::string_view::npos) return user;
  const auto gid = parse_uint32(text.substr(colon + 1));
  if (!gid) return fail(Code::kInvalidArgument, concat("user ", quote(text), ": the group must be a number"));
  user.gid = *gid;
  return user;
}

std::pair<std::string, std::string> parse_label(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return {std::string(text), ""};
  return {std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

Result<> check_container_name(std::string_view name) {
  bool good = name.size() >= 2 && name.size() <= 128;
  for (size_t i = 0; good && i < name.size(); ++i) good = is_name_char(name[i], i == 0);
  if (good) return {};
  return fail(Code::kInvalidArgument,
              concat("invalid container name ", quote(name), ", only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed"));
}

std::string random_container_name() {
  unsigned draw[2] = {};
  if (::getrandom(draw, sizeof draw, 0) != sizeof draw) return "plain_" + random_hex(4);
  return concat(kAdjectives[draw[0] % std::size(kAdjectives)], '_', kNouns[draw[1] % std::size(kNouns)]);
}

std::string command_text(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) {
    const bool plain = !word.empty() && word.find_first_of(" \t\n\"'\\$`|&;<>()*?[]#~") == std::string::npos;
    if (plain) {
      quoted.push_back(word);
    } else {
      std::string out = "'";
      for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
      quoted.push_back(out + "'");
    }
  }
  return join(quoted, " ");
}

Result<int> parse_signal(std::string_view text) {
  if (const auto number = parse_uint32(text); number && *number >= 1 && *number <= 64) return static_cast<int>(*number);
  std::string name;
  for (const char c : text) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int signal = 1; signal < 32; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  const size_t plus = name.find('+'), minus = name.find('-');
  if (name == "RTMIN") return 34;
  if (name == "RTMAX") return 64;
  if (name.starts_with("RTMIN") && plus == 5) {
    if (const auto n = parse_uint32(name.substr(6)); n && *n <= 15) return 34 + static_cast<int>(*n);
  }
  if (name.starts_with("RTMAX") && minus == 5) {
    if (const auto n = parse_uint32(name.substr(6)); n && *n <= 14) return 64 - static_cast<int>(*n);
  }
  return fail(Code::kInvalidArgument, concat("invalid signal: ", quote(text)));
}

}  // namespace berth::cli
