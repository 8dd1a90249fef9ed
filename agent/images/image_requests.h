// SPDX-License-Identifier: Apache-2.0
// The image requests of CRI over rootfs::Images. Functions block; thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include "cri/proto/runtime/v1/api.pb.h"
#include "rootfs/images.h"
#include "runtime/base/result.h"

namespace berth::images {

namespace v1 = ::runtime::v1;

// uid when the image's user is a number, username when it is a name; the group part is ignored.
v1::Image to_cri(const rootfs::Image& image);

Result<v1::ListImagesResponse> list_images(rootfs::Images& images, const v1::ListImagesRequest& request);
// An absent image is success with `image` unset.
Result<v1::ImageStatusResponse> image_status(rootfs::Images& images, const v1::ImageStatusRequest& request);
// `timeout`: kDeadlineExceeded when it passes; the aborted pull leaves nothing in the way of the next.
Result<v1::PullImageResponse> pull_image(rootfs::Images& images, const v1::PullImageRequest& request,
                                         std::optional<std::chrono::milliseconds> timeout,
                                         const std::atomic<bool>* cancelled);
// Absent is success.
Result<v1::RemoveImageResponse> remove_image(rootfs::Images& images, const v1::RemoveImageRequest& request);
Result<v1::ImageFsInfoResponse> image_fs_info(rootfs::Images& images);

// CRI's AuthConfig: `auth` is base64 of user:password and counts when username is empty. kInvalidArgument when it is
// neither.
Result<rootfs::RegistryAuth> registry_auth(const v1::AuthConfig& auth);

}  // namespace berth::images
