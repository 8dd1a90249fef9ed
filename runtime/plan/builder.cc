// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/builder.h"

#include <sys/syscall.h>

namespace berth::plan {

child::Op& Builder::add(child::OpCode code, std::string doing) {
  labels_.push_back({std::move(doing)});
  auto& op = ops_.emplace_back();
  op.code = code;
  return op;
}

child::Op& Builder::call(std::string doing, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
  auto& op = add(child::OpCode::kCall, std::move(doing));
  op.nr = nr;
  const uint64_t args[] = {a, b, c, d, e, 0};
  for (int i = 0; i < 6; ++i) op.args[i] = args[i];
  return op;
}

const char* Builder::text(std::string value) { return strings_.emplace_back(std::move(value)).c_str(); }

const char* const* Builder::list(const std::vector<std::string>& values) {
  std::vector<const char*> pointers;
  pointers.reserve(values.size() + 1);
  for (const auto& value : values) pointers.push_back(text(value));
  pointers.push_back(nullptr);
  return lists_.emplace_back(std::move(pointers)).data();
}

const char* const* Builder::pairs(const std::vector<Pair>& values) {
  std::vector<const char*> pointers;
  for (const auto& pair : values) {
    pointers.push_back(text(pair.key));
    pointers.push_back(pair.flag ? nullptr : text(pair.value));
  }
  return lists_.emplace_back(std::move(pointers)).data();
}

const child::Join* Builder::joins(std::vector<child::Join> values) { return joins_.emplace_back(std::move(values)).data(); }
const int* Builder::numbers(std::vector<int> values) { return numbers_.emplace_back(std::move(values)).data(); }
const void* Builder::bytes(std::string value) { return strings_.emplace_back(std::move(value)).data(); }

int Builder::keep(Fd fd) {
  fds_.push_back(std::move(fd));
  return fds_.back().get();
}

}  // namespace berth::plan
