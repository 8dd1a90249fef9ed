// SPDX-License-Identifier: Apache-2.0
// gRPC's callback services over the port of service.h: each RPC becomes a task of the executor. No handler ever runs on
// one of gRPC's own threads. Includes no gRPC header.
#pragma once

#include <memory>

#include "cri/executor.h"
#include "cri/service.h"

namespace grpc {
class Service;
}

namespace berth::cri {

// The port and the executor must outlive the services, and these the gRPC server.
std::shared_ptr<grpc::Service> make_runtime_adaptor(RuntimeService& service, Executor& executor);
std::shared_ptr<grpc::Service> make_image_adaptor(ImageService& service, Executor& executor);

}  // namespace berth::cri
