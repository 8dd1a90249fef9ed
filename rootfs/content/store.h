// SPDX-License-Identifier: Apache-2.0
// Blobs by digest: <root>/blobs/sha256/<hex>, and <root>/ingest/<random> for what is still arriving.
//
// A blob is visible only after its bytes were hashed, compared, written and fsynced; the rename is the publication.
// Thread-safe; several processes may share the directory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rootfs/content/digest.h"
#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

// One blob on its way in. Dropped without commit(), its file is removed. Not thread-safe.
class Ingest {
 public:
  Ingest(Fd folder, std::string name, Fd file, std::string blobs_path);
  Ingest(Ingest&& other) noexcept;
  Ingest& operator=(Ingest&&) = delete;
  ~Ingest();

  // kResourceExhausted when the disk is full.
  Result<> write(std::string_view bytes);
  int64_t size() const { return size_; }
  // Forgets everything written: the transfer starts again.
  Result<> restart();
  // Compares, makes durable, publishes. kDataLoss naming expected and got; `expected_size` < 0 is not checked.
  Result<> commit(const Digest& expected, int64_t expected_size);

 private:
  Fd folder_;
  std::string name_;
  Fd file_;
  std::string blobs_path_;
  Sha256 hash_;
  int64_t size_ = 0;
};

class Store {
 public:
  // Creates `path`/{blobs/sha256,ingest}, mode 0700.
  static Result<Store> open(const std::string& path);

  bool has(const Digest& digest) const;
  // kNotFound when absent.
  Result<Fd> open_blob(const Digest& digest) const;
  Result<int64_t> blob_size(const Digest& digest) const;
  // The whole blob, verified again against its digest (kDataLoss), at most `limit` bytes.
  Result<std::string> read_blob(const Digest& digest, size_t limit) const;
  Result<Ingest> ingest() const;
  // Ingest and commit in one.
  Result<> add_blob(const Digest& digest, std::string_view bytes) const;
  // Absent is success.
  Result<> remove(const Digest& digest) const;
  Result<std::vector<Digest>> list() const;
  // Removes everything in ingest/. Only under the exclusive lock of the image store: nobody may be writing.
  Result<> clear_ingest() const;

 private:
  explicit Store(std::string path) : path_(std::move(path)) {}
  std::string blob_path(const Digest& digest) const;
  std::string path_;
};

}  // namespace berth::rootfs
