// SPDX-License-Identifier: Apache-2.0
#include "runtime/sys/late_library.h"

#include <dlfcn.h>

#include "runtime/base/strings.h"

namespace berth::sys {

Result<LateLibrary> LateLibrary::open(const char* soname) {
  LateLibrary library;
  library.soname_ = soname;
  library.handle_ = ::dlopen(soname, RTLD_NOW | RTLD_LOCAL);
  if (library.handle_ == nullptr) return fail(Code::kUnimplemented, concat("load library ", quote(soname), ": ", ::dlerror()));
  return library;
}

Result<void*> LateLibrary::find(const char* name) const {
  void* address = ::dlsym(handle_, name);
  if (address == nullptr) return fail(Code::kUnimplemented, concat("library ", quote(soname_), " has no ", quote(name)));
  return address;
}

}  // namespace berth::sys
