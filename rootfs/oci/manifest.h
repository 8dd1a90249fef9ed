// SPDX-License-Identifier: Apache-2.0
// Indexes and manifests (image-spec image-index.md, manifest.md; Docker's schema 2), parsed strictly: what a document is
// comes from its content, never from a header (CVE-2021-41190), and every digest is checked before anyone uses it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rootfs/content/digest.h"
#include "rootfs/oci/platform.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

constexpr size_t kMaxManifestBytes = 4u << 20;
constexpr size_t kMaxConfigBytes = 4u << 20;
constexpr size_t kMaxLayers = 256;
constexpr int64_t kMaxLayerBytes = int64_t{1} << 37;  // 128 GiB compressed

struct Descriptor {
  std::string media_type;
  Digest digest;
  int64_t size = 0;
  Platform platform;  // in an index
  bool is_attestation = false;
};

// An index has `manifests`, a manifest has `config` and `layers`.
struct Manifest {
  bool is_index = false;
  std::vector<Descriptor> manifests;
  Descriptor config;
  std::vector<Descriptor> layers;
};

// kInvalidArgument: not JSON, neither or both kinds, malformed fields. kUnimplemented: schema 1, foreign layers, layer
// types other than tar (+gzip, +zstd), encrypted layers, artifacts that are no image.
Result<Manifest> parse_manifest(std::string_view bytes);

// The entry of an index that fits best, the first among equals; kNotFound naming what is offered.
Result<Descriptor> choose_platform(const Manifest& index, const Platform& wanted);

}  // namespace berth::rootfs
