// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/volumes.h"

#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

Result<Volume> invalid(std::string_view flag, std::string_view text, std::string_view why) {
  return fail(Code::kInvalidArgument, concat(flag, ' ', quote(text), ": ", why));
}

// Lexical: "." and empty parts go, ".." takes the part before it.
std::string clean_path(std::string_view path) {
  std::vector<std::string> parts;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.emplace_back(part);
  }
  return "/" + join(parts, "/");
}

// docker's rule for volume names: [a-zA-Z0-9][a-zA-Z0-9_.-]+
bool is_volume_name(std::string_view name) {
  if (name.size() < 2 || name.size() > 255) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alnum && (i == 0 || (c != '_' && c != '.' && c != '-'))) return false;
  }
  return true;
}

bool is_path(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text == "." || text == "..";
}

std::string absolute(std::string_view path, const std::string& working_dir) {
  return path.starts_with('/') ? clean_path(path) : clean_path(concat(working_dir, '/', path));
}

bool is_propagation(std::string_view text) {
  return text == "rprivate" || text == "private" || text == "rslave" || text == "slave" || text == "rshared" ||
         text == "shared";
}

}  // namespace

Result<Volume> parse_volume(std::string_view text, const std::string& working_dir) {
  const auto parts = split(text, ':');
  if (parts.size() > 3) return invalid("volume", text, "too many colons");
  Volume volume;
  std::string_view target = parts[0];
  if (parts.size() == 1) {
    volume.kind = Volume::Kind::kAnonymous;
  } else {
    target = parts[1];
    if (parts[0].empty()) return invalid("volume", text, "the source is empty");
    if (is_path(parts[0])) {
      volume.source = absolute(parts[0], working_dir);
    } else {
      if (!is_volume_name(parts[0])) {
        return invalid(
            "volume", text,
            "a name has two or more of [a-zA-Z0-9_.-] and begins with a letter or digit; a path begins with / or ./");
      }
      volume.kind = Volume::Kind::kNamed;
      volume.source = parts[0];
    }
  }
  if (!target.starts_with('/')) return invalid("volume", text, "the path in the container must be absolute");
  volume.target = clean_path(target);
  if (volume.target == "/") return invalid("volume", text, "the path in the container must not be /");
  if (parts.size() == 3) {
    for (const std::string_view option : split(parts[2], ',')) {
      if (option == "ro")
        volume.read_only = true;
      else if (option == "rw" || option == "nocopy" || option.empty())
        continue;
      else if (option == "z" || option == "Z")
        volume.relabel = true;
      else if (is_propagation(option))
        volume.propagation = option.starts_with('r') ? std::string(option) : concat('r', option);
      else
        return invalid("volume", text, concat("unknown option ", quote(option)));
    }
  }
  return volume;
}

Result<Volume> parse_mount(std::string_view text, const std::string& working_dir) {
  Volume volume;
  volume.create_source = false;
  std::string type = "volume";
  for (const std::string_view field : split(text, ',')) {
    const size_t equals = field.find('=');
    const std::string_view key = field.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1);
    if (key == "type")
      type = value;
    else if (key == "source" || key == "src")
      volume.source = value;
    else if (key == "target" || key == "dst" || key == "destination")
      volume.target = value;
    else if (key == "readonly" || key == "ro")
      volume.read_only = value.empty() || value == "true" || value == "1";
    else if (key == "bind-propagation" && is_propagation(value))
      volume.propagation = value.starts_with('r') ? std::string(value) : concat('r', value);
    else
      return invalid("mount", text, concat("unknown field ", quote(field)));
  }
  if (!volume.target.starts_with('/')) return invalid("mount", text, "target must be an absolute path");
  volume.target = clean_path(volume.target);
  if (type == "bind") {
    if (volume.source.empty()) return invalid("mount", text, "a bind needs a source");
    volume.source = absolute(volume.source, working_dir);
  } else if (type == "volume") {
    volume.kind = volume.source.empty() ? Volume::Kind::kAnonymous : Volume::Kind::kNamed;
    if (!volume.source.empty() && !is_volume_name(volume.source))
      return invalid("mount", text, "the source is no volume name");
  } else if (type == "tmpfs") {
    volume.kind = Volume::Kind::kTmpfs;
  } else {
    return invalid("mount", text, concat("unknown type ", quote(type)));
  }
  return volume;
}

Result<Volume> parse_tmpfs(std::string_view text) {
  const size_t colon = text.find(':');
  Volume volume;
  volume.kind = Volume::Kind::kTmpfs;
  volume.target = text.substr(0, colon);
  if (!volume.target.starts_with('/')) return invalid("tmpfs", text, "the path in the container must be absolute");
  volume.target = clean_path(volume.target);
  if (colon == std::string_view::npos) return volume;
  for (const std::string_view option : split(text.substr(colon + 1), ',')) {
    if (option == "ro")
      volume.read_only = true;
    else if (option == "rw" || option.empty())
      continue;
    else if (option.starts_with("mode=")) {
      unsigned mode = 0;
      for (const char c : option.substr(5)) {
        if (c < '0' || c > '7' || mode > 07777) return invalid("tmpfs", text, "mode must be octal");
        mode = mode * 8 + static_cast<unsigned>(c - '0');
      }
      volume.mode = mode & 07777;
    } else {
      return invalid("tmpfs", text, concat("option ", quote(option), " is not supported (only ro, rw and mode=)"));
    }
  }
  return volume;
}

Result<std::string> prepare_volume(const Volume& volume, const std::string& root, const std::string& scratch,
                                   size_t index) {
  switch (volume.kind) {
    case Volume::Kind::kBind:
      if (!sys::path_exists(volume.source)) {
        if (!volume.create_source)
          return fail(Code::kInvalidArgument, concat("mount source ", quote(volume.source), " does not exist"));
        TRY(sys::make_directories(volume.source, 0755));
      }
      return volume.source;
    case Volume::Kind::kNamed: {
      const std::string path = concat(root, "/volumes/", volume.source, "/_data");
      TRY(sys::make_directories(concat(root, "/volumes"), 0711));
      TRY(sys::make_directories(path, 0755));
      return path;
    }
    case Volume::Kind::kAnonymous:
    case Volume::Kind::kTmpfs: {
      const std::string path = concat(scratch, volume.kind == Volume::Kind::kTmpfs ? "/tmpfs-" : "/volume-", index);
      TRY(sys::make_directories(scratch, 0711));
      TRY(sys::make_directories(path, 0755));
      if (volume.kind == Volume::Kind::kTmpfs && ::chmod(path.c_str(), volume.mode) < 0)
        return fail_errno(concat("chmod ", quote(path)));
      return path;
    }
  }
  return fail(Code::kInternal, "unknown kind of volume");
}

}  // namespace berth::cli
