// SPDX-License-Identifier: Apache-2.0
#include "agent/images/image_requests.h"

#include <algorithm>
#include <array>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::images {
namespace {

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | unsigned(value)) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += char(bits >> count & 0xff);
    }
  }
  return out;
}

}  // namespace

v1::Image to_cri(const rootfs::Image& image) {
  v1::Image out;
  out.set_id(image.id);
  out.mutable_repo_tags()->Assign(image.repo_tags.begin(), image.repo_tags.end());
  out.mutable_repo_digests()->Assign(image.repo_digests.begin(), image.repo_digests.end());
  out.set_size(uint64_t(std::max<int64_t>(image.size, 1)));
  const std::string user = image.config.user.substr(0, image.config.user.find(':'));
  if (const auto uid = parse_int64(user); uid && *uid >= 0) {
    out.mutable_uid()->set_value(*uid);
  } else if (user.empty()) {
    out.mutable_uid()->set_value(0);
  } else {
    out.set_username(user);
  }
  out.mutable_spec()->set_image(image.id);
  out.set_pinned(image.pinned);
  return out;
}

Result<v1::ListImagesResponse> list_images(rootfs::Images& images, const v1::ListImagesRequest& request) {
  v1::ListImagesResponse response;
  const std::string& wanted = request.filter().image().image();
  if (!wanted.empty()) {
    TRY_ASSIGN(const auto image, images.find(wanted));
    if (image) *response.add_images() = to_cri(*image);
    return response;
  }
  TRY_ASSIGN(const auto all, images.list());
  for (const rootfs::Image& image : all) *response.add_images() = to_cri(image);
  return response;
}

Result<v1::ImageStatusResponse> image_status(rootfs::Images& images, const v1::ImageStatusRequest& request) {
  if (request.image().image().empty()) return fail(Code::kInvalidArgument, "no image given");
  TRY_ASSIGN(const auto image, images.find(request.image().image()));
  v1::ImageStatusResponse response;
  if (!image) return response;
  *response.mutable_image() = to_cri(*image);
  if (request.verbose()) {
    (*response.mutable_info())["info"] =
        concat("{\"chainID\":\"\",\"imageSpec\":", image->config_json.empty() ? "null" : image->config_json, "}");
  }
  return response;
}

Result<rootfs::RegistryAuth> registry_auth(const v1::AuthConfig& auth) {
  rootfs::RegistryAuth out;
  out.username = auth.username();
  out.password = auth.password();
  out.identity_token = auth.identity_token();
  out.registry_token = auth.registry_token();
  if (out.username.empty() && !auth.auth().empty()) {
    const auto decoded = decode_base64(auth.auth());
    const size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) return fail(Code::kInvalidArgument, "auth is not base64 of \"user:password\"");
    out.username = decoded->substr(0, colon);
    out.password = decoded->substr(colon + 1);
    // Docker pads with NUL bytes.
    while (out.password.ends_with('\0')) out.password.pop_back();
  }
  return out;
}

Result<v1::PullImageResponse> pull_image(rootfs::Images& images, const v1::PullImageRequest& request,
                                         std::optional<std::chrono::milliseconds> timeout,
                                         const std::atomic<bool>* cancelled) {
  if (request.image().image().empty()) return fail(Code::kInvalidArgument, "no image given");
  rootfs::PullRequest pull;
  pull.reference = request.image().image();
  TRY_ASSIGN(pull.auth, registry_auth(request.auth()));
  // A deadline that is nearly over must not become 0, which means none.
  if (timeout) pull.timeout = std::max(*timeout, std::chrono::milliseconds(1));
  pull.cancelled = cancelled;
  const long long begun = monotonic_nanos();
  TRY_ASSIGN(const rootfs::Image image, images.pull(pull));
  log_info("image pulled",
           {{"image", request.image().image()}, {"id", image.id}, {"ms", (monotonic_nanos() - begun) / 1000000}});
  v1::PullImageResponse response;
  response.set_image_ref(image.id);
  return response;
}

Result<v1::RemoveImageResponse> remove_image(rootfs::Images& images, const v1::RemoveImageRequest& request) {
  if (request.image().image().empty()) return fail(Code::kInvalidArgument, "no image given");
  TRY(images.remove(request.image().image()));
  return v1::RemoveImageResponse();
}

Result<v1::ImageFsInfoResponse> image_fs_info(rootfs::Images& images) {
  TRY_ASSIGN(const rootfs::FsUsage usage, images.usage());
  v1::ImageFsInfoResponse response;
  v1::FilesystemUsage entry;
  entry.set_timestamp(realtime_nanos());
  entry.mutable_fs_id()->set_mountpoint(usage.mountpoint);
  entry.mutable_used_bytes()->set_value(usage.used_bytes);
  entry.mutable_inodes_used()->set_value(usage.inodes_used);
  *response.add_image_filesystems() = entry;
  *response.add_container_filesystems() = entry;
  return response;
}

}  // namespace berth::images
