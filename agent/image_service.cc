// SPDX-License-Identifier: Apache-2.0
#include "agent/image_service.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "agent/images/image_requests.h"

namespace berth::agent {
namespace {

// Turns "has the client gone?" into the flag that a pull looks at.
class CancelFlag {
 public:
  explicit CancelFlag(cri::Call& call) : thread_([this, &call] { watch(call); }) {}
  ~CancelFlag() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  const std::atomic<bool>* flag() const { return &cancelled_; }

 private:
  void watch(cri::Call& call) {
    std::unique_lock lock(mutex_);
    while (!done_) {
      if (call.is_cancelled()) cancelled_ = true;
      wake_.wait_for(lock, std::chrono::milliseconds(200));
    }
  }
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace

Result<v1::ListImagesResponse> ImageService::list_images(cri::Call&, const v1::ListImagesRequest& request) {
  return images::list_images(images_, request);
}

Result<> ImageService::stream_images(cri::Call&, const v1::StreamImagesRequest& request,
                                     const cri::Sink<v1::StreamImagesResponse>& sink) {
  v1::ListImagesRequest list;
  *list.mutable_filter() = request.filter();
  TRY_ASSIGN(v1::ListImagesResponse all, images::list_images(images_, list));
  v1::StreamImagesResponse message;
  message.mutable_images()->Swap(all.mutable_images());
  sink(message);
  return {};
}

Result<v1::ImageStatusResponse> ImageService::image_status(cri::Call&, const v1::ImageStatusRequest& request) {
  return images::image_status(images_, request);
}

Result<v1::PullImageResponse> ImageService::pull_image(cri::Call& call, const v1::PullImageRequest& request) {
  const CancelFlag cancelled(call);
  return images::pull_image(images_, request, call.time_left(), cancelled.flag());
}

Result<v1::RemoveImageResponse> ImageService::remove_image(cri::Call&, const v1::RemoveImageRequest& request) {
  return images::remove_image(images_, request);
}

Result<v1::ImageFsInfoResponse> ImageService::image_fs_info(cri::Call&, const v1::ImageFsInfoRequest&) {
  return images::image_fs_info(images_);
}

}  // namespace berth::agent
