// SPDX-License-Identifier: Apache-2.0
// Code ⇄ gRPC status codes: total switches, so that a new code does not compile until it has a counterpart.
#pragma once

#include <grpcpp/support/status.h>

#include "runtime/base/result.h"

namespace berth::cri {

grpc::StatusCode to_grpc(Code code);
// kUnknown for OK and for anything that gRPC does not define.
Code from_grpc(grpc::StatusCode code);

// The status that goes on the wire. Messages are cut at 4 KiB: they travel in a header, and clients refuse large ones.
grpc::Status to_status(const Error& error);

}  // namespace berth::cri
