// SPDX-License-Identifier: Apache-2.0
// Images: the facade that the agent uses. Pull, look up, list, remove, snapshots for containers.
//
// Everything lives below one directory (default /var/lib/berth): content/blobs/sha256/<hex>, content/ingest/<id>,
// snapshots/layers/<chain id>/fs, snapshots/containers/<key>/{fs,work}, images.db (SQLite, WAL). Several processes
// (berthd and daemonless berth) share it: SQLite transactions and flock(2) on the directory keep them apart.
// Crash rule: every blob, layer and image is whole or absent. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace berth::rootfs {

// The parts of an image config (image-spec config.md) that a runtime needs.
struct ImageConfig {
  std::string user;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::string> volumes;
  std::vector<std::string> exposed_ports;
  std::map<std::string, std::string> labels;
  std::string architecture;
  std::string os;
  std::string created;
};

struct Image {
  std::string id;                         // "sha256:<hex of the config blob>"
  std::vector<std::string> repo_tags;     // docker.io/library/busybox:latest, stable order
  std::vector<std::string> repo_digests;  // docker.io/library/busybox@sha256:…, stable order
  int64_t size = 0;                       // bytes of config + compressed layers
  std::vector<std::string> diff_ids;
  ImageConfig config;
  std::string config_json;
  std::string manifest_digest;
  long long created_at = 0;  // unix nanoseconds of the pull
  bool pinned = false;
};

struct RegistryAuth {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  bool empty() const { return username.empty() && identity_token.empty() && registry_token.empty(); }
};

// One call per noteworthy step of a pull, from any thread; drives progress bars and plain lines.
struct PullProgress {
  enum class Kind : unsigned char { kResolving, kLayerDownloading, kLayerDownloaded, kLayerUnpacking, kLayerExists, kLayerDone, kDone };
  Kind kind = Kind::kResolving;
  std::string digest;  // the layer, empty for the image as a whole
  int64_t done = 0;    // bytes
  int64_t total = 0;
};

struct PullRequest {
  std::string reference;  // as typed: "busybox", "127.0.0.1:5000/web", "x/y@sha256:…"
  RegistryAuth auth;      // empty: ~/.docker/config.json and auth.json of the caller are NOT read here
  std::string platform;   // "linux/amd64"; empty: this machine's
  std::chrono::milliseconds timeout{0};  // 0: none. kDeadlineExceeded when it passes
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(const PullProgress&)> progress;
};

struct FsUsage {
  std::string mountpoint;  // a path on which statfs works
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
};

// What a container's root file system is made of, for an overlay mount: lower[0] is the uppermost layer.
struct OverlayDirs {
  std::vector<std::string> lower;
  std::string upper;
  std::string work;
};

struct ImagesConfig {
  std::string root = "/var/lib/berth";
  std::string registry_config_dir = "/etc/berth/certs.d";  // containerd's layout: <host>/hosts.toml
};

class Images {
 public:
  // Opens (creating when missing), removes what a killed process left in ingest.
  static Result<std::unique_ptr<Images>> open(ImagesConfig config);
  virtual ~Images() = default;

  // Concurrent pulls of one reference join (across threads; across processes the second finds the layers present).
  virtual Result<Image> pull(const PullRequest& request) = 0;
  // By id ("sha256:…" or bare hex, unique prefix of ≥ 3 hex digits), tag, or digest reference. Absent: empty optional.
  virtual Result<std::optional<Image>> find(const std::string& reference_or_id) = 0;
  virtual Result<std::vector<Image>> list() = 0;
  // CRI semantics: all tags and digests of the image go; absent is success. Layers still used by a container's snapshot
  // stay until that goes.
  virtual Result<> remove(const std::string& reference_or_id) = 0;
  // docker rmi: removes one name; the image goes with its last name. Returns what happened, as "Untagged: …", "Deleted: …".
  virtual Result<std::vector<std::string>> untag(const std::string& reference_or_id) = 0;
  virtual Result<> tag(const std::string& source, const std::string& target) = 0;
  // Removes unreferenced layers and blobs. Called by remove(); public for recovery.
  virtual Result<> collect_garbage() = 0;
  virtual Result<FsUsage> usage() = 0;

  // The writable layer of container `key` over an image. Idempotent for the same key and image.
  virtual Result<OverlayDirs> prepare_snapshot(const std::string& key, const std::string& image_id) = 0;
  virtual Result<> remove_snapshot(const std::string& key) = 0;
  virtual Result<std::vector<std::string>> snapshots() = 0;
  virtual Result<FsUsage> snapshot_usage(const std::string& key) = 0;
};

// "busybox" → "docker.io/library/busybox:latest"; kInvalidArgument naming the rule for what the grammar of
// distribution/reference refuses.
Result<std::string> normalize_reference(const std::string& typed);

}  // namespace berth::rootfs
