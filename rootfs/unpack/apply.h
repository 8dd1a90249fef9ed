// SPDX-License-Identifier: Apache-2.0
// Entries of a layer onto a directory, in the form overlayfs wants: whiteouts become character devices 0:0, opaque
// directories carry trusted.overlay.opaque.
//
// Every write names one component below a directory descriptor that was opened without following any link, so whatever
// the archive (or a racing writer in the tree) does, nothing outside is reached. Guards: CVE-2025-47290, CVE-2021-32760,
// CVE-2020-10696, CVE-2021-29136 and relatives (security I01).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rootfs/unpack/tar.h"
#include "rootfs/unpack/unpack.h"
#include "runtime/base/fd.h"

namespace berth::rootfs {

// Not thread-safe. Needs the capabilities chown, dac_override, fowner, mknod, setfcap, sys_admin (trusted xattrs).
class LayerWriter {
 public:
  LayerWriter(int root, const UnpackLimits& limits, const std::vector<int>& lower)
      : root_(root), limits_(limits), lower_(lower) {}

  Result<> apply(const TarEntry& entry, TarReader& data);
  // Owners, modes and times of directories, which later entries would have changed.
  Result<> finish();
  uint64_t entries() const { return entries_; }

 private:
  struct Attributes {
    uint32_t mode = 0755;
    uint32_t uid = 0;
    uint32_t gid = 0;
    int64_t mtime_seconds = 0;
    uint32_t mtime_nanos = 0;
    std::map<std::string, std::string> xattrs;
  };
  struct Place {
    int parent;  // borrowed from the cache: valid until the next entry
    std::string folder;
    std::string name;
  };

  Result<std::vector<std::string>> clean_path(const std::string& path) const;
  Result<Place> locate(const std::vector<std::string>& parts);
  Result<Fd> open_folder(const std::vector<std::string>& parts, size_t count);
  Result<> make_implicit(int parent, const std::string& folder, const std::string& name);
  Result<> clear_name(const Place& place, bool for_directory, bool& was_whiteout, bool& exists);
  Result<> add_directory(const TarEntry& entry, const Place& place);
  Result<> add_file(const TarEntry& entry, const Place& place, TarReader& data);
  Result<> add_symlink(const TarEntry& entry, const Place& place);
  Result<> add_node(const TarEntry& entry, const Place& place);
  Result<> add_hard_link(const TarEntry& entry, const Place& place, const std::vector<std::string>& parts);
  Result<> add_whiteout(const Place& place);
  Result<> set_opaque(const std::string& folder, const std::string& name);
  Result<> copy_up(const std::string& target, const Place& place);
  void forget_folder() { cached_.reset(); }

  int root_;
  const UnpackLimits& limits_;
  const std::vector<int>& lower_;
  uint64_t entries_ = 0;
  std::string cached_path_;
  Fd cached_;
  std::map<std::string, Attributes> directories_;
};

}  // namespace berth::rootfs
