// SPDX-License-Identifier: Apache-2.0
// Shared libraries loaded when first needed, so that a command which does not use them does not pay for their loading
// (measured: libcurl and what it pulls in cost 5 ms of a process's start, libnftables 1.5 ms).
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace berth::sys {

// One library, opened by its soname ("libcurl.so.4") from the system's own directories; never closed. Thread-safe.
class LateLibrary {
 public:
  static Result<LateLibrary> open(const char* soname);
  // Stores the address of `name` in `function`; kUnimplemented naming library and symbol when it is not there.
  template <typename Function>
  Result<> bind(const char* name, Function*& function) const {
    TRY_ASSIGN(void* address, find(name));
    function = reinterpret_cast<Function*>(address);
    return {};
  }

 private:
  Result<void*> find(const char* name) const;
  void* handle_ = nullptr;
  std::string soname_;
};

}  // namespace berth::sys
