// SPDX-License-Identifier: Apache-2.0
// Messages as bytes that are equal when the messages are (maps in order): records are compared with repeated requests.
#pragma once

#include <string>

#include "cri/proto/runtime/v1/api.pb.h"

namespace berth::pods {

std::string deterministic_bytes(const google::protobuf::MessageLite& message);

}  // namespace berth::pods
