// SPDX-License-Identifier: Apache-2.0
// A container's root as a detached overlay mount: nothing appears on the host, closing the descriptor is the undo.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::shim {

struct OverlayLayers {
  std::vector<std::string> lower;  // lower[0] is the uppermost
  std::string upper;               // empty with work: read-only
  std::string work;
};

// `scratch` is an existing or creatable directory, used only by kernels that lack "lowerdir+" when the layers do not
// fit one option: there the mount stands for a moment before it is detached.
Result<Fd> make_overlay(const OverlayLayers& layers, const std::string& scratch);

}  // namespace berth::shim
