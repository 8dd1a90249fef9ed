// SPDX-License-Identifier: Apache-2.0
#include "rootfs/oci/manifest.h"

#include <algorithm>
#include <boost/json.hpp>
#include <limits>

#include "rootfs/oci/json_fields.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

namespace json = boost::json;
constexpr size_t kMaxManifests = 1024;

Result<Descriptor> parse_descriptor(const json::value& value, std::string_view what) {
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::kInvalidArgument, concat(what, " is not an object"));
  Descriptor descriptor;
  TRY_ASSIGN(descriptor.media_type, text_field(*object, "mediaType"), what);
  TRY_ASSIGN(const std::string digest, text_field(*object, "digest"), what);
  TRY_ASSIGN(descriptor.digest, Digest::parse(digest), what);
  const auto* size = object->if_contains("size");
  if (size == nullptr || !size->is_number()) return fail(Code::kInvalidArgument, concat(what, ": no size"));
  const auto* number = size->if_int64();
  if (number == nullptr || *number < 0 || *number > kMaxLayerBytes) {
    return fail(Code::kInvalidArgument, concat(what, ": the size is out of range"));
  }
  descriptor.size = *number;
  if (const auto* platform = object_field(*object, "platform")) {
    TRY_ASSIGN(descriptor.platform.os, text_field(*platform, "os"), what);
    TRY_ASSIGN(descriptor.platform.architecture, text_field(*platform, "architecture"), what);
    TRY_ASSIGN(descriptor.platform.variant, text_field(*platform, "variant"), what);
  }
  if (const auto* notes = object_field(*object, "annotations")) {
    descriptor.is_attestation = notes->contains("vnd.docker.reference.type");
  }
  return descriptor;
}

Result<> check_layer_type(const Descriptor& layer) {
  const std::string_view type = layer.media_type;
  if (type.find("foreign") != std::string_view::npos || type.find("nondistributable") != std::string_view::npos) {
    return fail(Code::kUnimplemented, concat("layer ", layer.digest.str(), ": foreign layers are not fetched"));
  }
  static constexpr std::string_view kKnown[] = {
      "application/vnd.oci.image.layer.v1.tar",       "application/vnd.oci.image.layer.v1.tar+gzip",
      "application/vnd.oci.image.layer.v1.tar+zstd",  "application/vnd.docker.image.rootfs.diff.tar",
      "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar.zstd"};
  if (std::ranges::find(kKnown, type) == std::end(kKnown)) {
    return fail(Code::kUnimplemented, concat("layer ", layer.digest.str(), ": media type ", quote(type), " is not supported"));
  }
  return {};
}

Result<> parse_index(const json::value& list, Manifest& manifest) {
  const auto* array = list.if_array();
  if (array == nullptr) return fail(Code::kInvalidArgument, "\"manifests\" is not an array");
  if (array->size() > kMaxManifests) return fail(Code::kResourceExhausted, concat("the index lists more than ", kMaxManifests, " manifests"));
  for (const auto& entry : *array) {
    TRY_ASSIGN(Descriptor descriptor, parse_descriptor(entry, "entry of the index"));
    manifest.manifests.push_back(std::move(descriptor));
  }
  manifest.is_index = true;
  return {};
}

Result<> parse_image(const json::object& object, const json::value& list, Manifest& manifest) {
  const auto* config = object.if_contains("config");
  if (config == nullptr) return fail(Code::kInvalidArgument, "the manifest has no config");
  TRY_ASSIGN(manifest.config, parse_descriptor(*config, "config"));
  const std::string& type = manifest.config.media_type;
  if (type != "application/vnd.oci.image.config.v1+json" && type != "application/vnd.docker.container.image.v1+json") {
    return fail(Code::kUnimplemented, concat("it is an artifact of type ", quote(type), ", not an image"));
  }
  if (manifest.config.size > static_cast<int64_t>(kMaxConfigBytes)) {
    return fail(Code::kResourceExhausted, concat("the image config is larger than ", kMaxConfigBytes, " bytes"));
  }
  const auto* array = list.if_array();
  if (array == nullptr) return fail(Code::kInvalidArgument, "\"layers\" is not an array");
  if (array->size() > kMaxLayers) return fail(Code::kResourceExhausted, concat("the image has more than ", kMaxLayers, " layers"));
  for (const auto& entry : *array) {
    TRY_ASSIGN(Descriptor layer, parse_descriptor(entry, "layer"));
    TRY(check_layer_type(layer));
    manifest.layers.push_back(std::move(layer));
  }
  return {};
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view bytes) {
  TRY_ASSIGN(const json::value document, parse_json(bytes), "manifest");
  const auto* object = document.if_object();
  if (object == nullptr) return fail(Code::kInvalidArgument, "manifest: it is not a JSON object");
  const auto* manifests = object->if_contains("manifests");
  const auto* layers = object->if_contains("layers");
  if (object->contains("fsLayers")) return fail(Code::kUnimplemented, "manifest: schema 1 is not supported: push the image again with a current tool");
  const auto* version = object->if_contains("schemaVersion");
  if (version == nullptr || !version->is_int64() || version->get_int64() != 2) {
    return fail(Code::kInvalidArgument, "manifest: schemaVersion is not 2");
  }
  if ((manifests != nullptr) && (layers != nullptr || object->contains("config"))) {
    return fail(Code::kInvalidArgument, "manifest: it is both an index and a manifest");
  }
  TRY_ASSIGN(const std::string type, text_field(*object, "mediaType"), "manifest");
  const bool says_index = type.ends_with("image.index.v1+json") || type.ends_with("manifest.list.v2+json");
  const bool says_image = type.ends_with("image.manifest.v1+json") || type.ends_with("distribution.manifest.v2+json");
  if ((says_index && manifests == nullptr) || (says_image && layers == nullptr) || (!type.empty() && !says_index && !says_image)) {
    return fail(Code::kInvalidArgument, concat("manifest: media type ", quote(type), " does not fit the content"));
  }
  Manifest manifest;
  if (manifests != nullptr) {
    TRY(parse_index(*manifests, manifest), "manifest");
  } else if (layers != nullptr) {
    TRY(parse_image(*object, *layers, manifest), "manifest");
  } else {
    return fail(Code::kInvalidArgument, "manifest: neither an index nor a manifest");
  }
  return manifest;
}

Result<Descriptor> choose_platform(const Manifest& index, const Platform& wanted) {
  const Descriptor* best = nullptr;
  int best_fit = 0;
  std::vector<std::string> offered;
  for (const auto& entry : index.manifests) {
    if (entry.is_attestation || entry.platform.os == "unknown") continue;
    // An index made by hand may name no platform at all; such an entry is a last resort.
    const int fit = entry.platform.os.empty() ? 1 : platform_fit(wanted, entry.platform);
    if (!entry.platform.os.empty()) offered.push_back(entry.platform.str());
    if (fit > best_fit) {
      best = &entry;
      best_fit = fit;
    }
  }
  if (best != nullptr) return *best;
  return fail(Code::kNotFound, concat("no image for platform ", wanted.str(), ", offered: ", offered.empty() ? "none" : join(offered, ", ")));
}

}  // namespace berth::rootfs
