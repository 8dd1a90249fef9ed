// SPDX-License-Identifier: Apache-2.0
// The client's side of CRI: each RPC with a deadline, its status as an Error.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"

namespace berth::cli {

namespace v1 = ::runtime::v1;

// Thread-safe. gRPC itself is visible in cri_client.cc only.
class CriClient {
 public:
  // `address` is "unix:///path"; nothing is connected yet.
  explicit CriClient(const std::string& address);
  ~CriClient();

  // One line: `berthd at "unix:///…" cannot be reached` (kUnavailable) when nobody answers.
  Result<v1::ImageStatusResponse> image_status(const v1::ImageStatusRequest& request);
  Result<v1::PullImageResponse> pull_image(const v1::PullImageRequest& request);
  Result<v1::RunPodSandboxResponse> run_pod_sandbox(const v1::RunPodSandboxRequest& request);
  Result<v1::StopPodSandboxResponse> stop_pod_sandbox(const std::string& id);
  Result<v1::RemovePodSandboxResponse> remove_pod_sandbox(const std::string& id);
  Result<v1::PodSandboxStatusResponse> pod_sandbox_status(const std::string& id);
  Result<v1::ListPodSandboxResponse> list_pod_sandbox(const v1::ListPodSandboxRequest& request);
  Result<v1::CreateContainerResponse> create_container(const v1::CreateContainerRequest& request);
  Result<v1::StartContainerResponse> start_container(const std::string& id);
  Result<v1::StopContainerResponse> stop_container(const std::string& id, int64_t seconds);
  Result<v1::ContainerStatusResponse> container_status(const std::string& id);
  Result<v1::ListContainersResponse> list_containers(const v1::ListContainersRequest& request);
  Result<v1::ExecSyncResponse> exec_sync(const v1::ExecSyncRequest& request);
  Result<v1::VersionResponse> version();

 private:
  struct Stubs;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace berth::cli
