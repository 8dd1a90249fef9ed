// SPDX-License-Identifier: Apache-2.0
// Builder collects the operations of one child and owns everything they point to: strings, lists, descriptors.
//
// It must outlive the child's run. Descriptors are CLOEXEC and closed with the builder. Not thread-safe; not movable,
// because operations point into it.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/child/plan.h"

namespace berth::plan {

// Names for rendering: what an operation was doing, in the words of the error message.
struct Label {
  std::string text;
};

class Builder {
 public:
  Builder() = default;
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  // Appends an operation; `doing` begins the sentence of its failure ("mount \"/proc\"").
  child::Op& add(child::OpCode code, std::string doing);
  // A plain system call.
  child::Op& call(std::string doing, long nr, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0, uint64_t e = 0);

  const char* text(std::string value);
  // A null-terminated array that stays where it is.
  const char* const* list(const std::vector<std::string>& values);
  // kNewMount's pairs: an empty second part with `flag` is a null.
  struct Pair {
    std::string key;
    std::string value;
    bool flag = false;
  };
  const char* const* pairs(const std::vector<Pair>& values);
  const child::Join* joins(std::vector<child::Join> values);
  const int* numbers(std::vector<int> values);
  // Keeps a buffer (a filter program, gids…) in place.
  const void* bytes(std::string value);
  int keep(Fd fd);
  int new_slot() { return slots_ < child::kMaxSlots ? slots_++ : -1; }

  const std::vector<child::Op>& ops() const { return ops_; }
  const std::string& doing(size_t op) const { return labels_[op].text; }

 private:
  std::vector<child::Op> ops_;
  std::vector<Label> labels_;
  std::deque<std::string> strings_;
  std::deque<std::vector<const char*>> lists_;
  std::deque<std::vector<child::Join>> joins_;
  std::deque<std::vector<int>> numbers_;
  std::vector<Fd> fds_;
  int slots_ = 0;
};

}  // namespace berth::plan
