// SPDX-License-Identifier: Apache-2.0
// CRI's ImageService over agent/images.
#pragma once

#include "cri/service.h"
#include "rootfs/images.h"

namespace berth::agent {

namespace v1 = ::runtime::v1;

class ImageService final : public cri::ImageService {
 public:
  // `images` must outlive the service.
  explicit ImageService(rootfs::Images& images) : images_(images) {}

  Result<v1::ListImagesResponse> list_images(cri::Call& call, const v1::ListImagesRequest& request) override;
  Result<> stream_images(cri::Call& call, const v1::StreamImagesRequest& request,
                         const cri::Sink<v1::StreamImagesResponse>& sink) override;
  Result<v1::ImageStatusResponse> image_status(cri::Call& call, const v1::ImageStatusRequest& request) override;
  Result<v1::PullImageResponse> pull_image(cri::Call& call, const v1::PullImageRequest& request) override;
  Result<v1::RemoveImageResponse> remove_image(cri::Call& call, const v1::RemoveImageRequest& request) override;
  Result<v1::ImageFsInfoResponse> image_fs_info(cri::Call& call, const v1::ImageFsInfoRequest& request) override;

 private:
  rootfs::Images& images_;
};

}  // namespace berth::agent
