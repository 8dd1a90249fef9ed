// SPDX-License-Identifier: Apache-2.0
#include "rootfs/content/store.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::rootfs {

Ingest::Ingest(Fd folder, std::string name, Fd file, std::string blobs_path)
    : folder_(std::move(folder)), name_(std::move(name)), file_(std::move(file)), blobs_path_(std::move(blobs_path)) {}

Ingest::Ingest(Ingest&& other) noexcept
    : folder_(std::move(other.folder_)),
      name_(std::exchange(other.name_, {})),
      file_(std::move(other.file_)),
      blobs_path_(std::move(other.blobs_path_)),
      hash_(std::move(other.hash_)),
      size_(other.size_) {}

Ingest::~Ingest() {
  if (!name_.empty()) ::unlinkat(folder_.get(), name_.c_str(), 0);
}

Result<> Ingest::write(std::string_view bytes) {
  TRY(sys::write_all(file_.get(), bytes), "store blob");
  hash_.update(bytes);
  size_ += static_cast<int64_t>(bytes.size());
  return {};
}

Result<> Ingest::restart() {
  if (::ftruncate(file_.get(), 0) != 0 || ::lseek(file_.get(), 0, SEEK_SET) < 0) return fail_errno("restart blob");
  hash_.reset();
  size_ = 0;
  return {};
}

Result<> Ingest::commit(const Digest& expected, int64_t expected_size) {
  if (expected_size >= 0 && size_ != expected_size) {
    return fail(Code::kDataLoss,
                concat("blob ", expected.str(), ": expected ", expected_size, " bytes, got ", size_));
  }
  const Digest got = hash_.finish();
  if (got != expected) return fail(Code::kDataLoss, concat("blob: expected ", expected.str(), ", got ", got.str()));
  if (::fsync(file_.get()) != 0) return fail_errno(concat("fsync blob ", expected.str()));
  TRY_ASSIGN(const Fd blobs, sys::open_path(blobs_path_, O_RDONLY | O_DIRECTORY));
  if (::renameat(folder_.get(), name_.c_str(), blobs.get(), std::string(expected.hex()).c_str()) != 0) {
    return fail_errno(concat("publish blob ", expected.str()));
  }
  name_.clear();
  if (::fsync(blobs.get()) != 0) return fail_errno("fsync blobs");
  return {};
}

Result<Store> Store::open(const std::string& path) {
  TRY(sys::make_directories(concat(path, "/blobs/sha256")));
  TRY(sys::make_directories(concat(path, "/ingest")));
  return Store(path);
}

std::string Store::blob_path(const Digest& digest) const { return concat(path_, "/blobs/sha256/", digest.hex()); }

bool Store::has(const Digest& digest) const { return sys::path_exists(blob_path(digest)); }

Result<Fd> Store::open_blob(const Digest& digest) const {
  TRY_ASSIGN(Fd fd, sys::open_path(blob_path(digest), O_RDONLY | O_NOFOLLOW));
  return fd;
}

Result<int64_t> Store::blob_size(const Digest& digest) const {
  struct stat info{};
  if (::lstat(blob_path(digest).c_str(), &info) != 0) return fail_errno(concat("stat blob ", digest.str()));
  return static_cast<int64_t>(info.st_size);
}

Result<std::string> Store::read_blob(const Digest& digest, size_t limit) const {
  TRY_ASSIGN(std::string bytes, sys::read_file(blob_path(digest), limit));
  if (const Digest got = Digest::of(bytes); got != digest) {
    return fail(Code::kDataLoss, concat("blob: expected ", digest.str(), ", got ", got.str()));
  }
  return bytes;
}

Result<Ingest> Store::ingest() const {
  TRY_ASSIGN(Fd folder, sys::open_path(concat(path_, "/ingest"), O_RDONLY | O_DIRECTORY));
  std::string name = random_hex(16);
  TRY_ASSIGN(Fd file, sys::open_at(folder.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return Ingest(std::move(folder), std::move(name), std::move(file), concat(path_, "/blobs/sha256"));
}

Result<> Store::add_blob(const Digest& digest, std::string_view bytes) const {
  TRY_ASSIGN(Ingest incoming, ingest());
  TRY(incoming.write(bytes));
  return incoming.commit(digest, static_cast<int64_t>(bytes.size()));
}

Result<> Store::remove(const Digest& digest) const {
  if (::unlink(blob_path(digest).c_str()) != 0 && errno != ENOENT) return fail_errno(concat("remove blob ", digest.str()));
  return {};
}

Result<std::vector<Digest>> Store::list() const {
  TRY_ASSIGN(const auto names, sys::list_directory(concat(path_, "/blobs/sha256")));
  std::vector<Digest> digests;
  for (const auto& name : names) {
    // A file that is not named like a digest is not ours: it stays.
    if (auto digest = Digest::parse(concat("sha256:", name))) digests.push_back(std::move(*digest));
  }
  return digests;
}

Result<> Store::clear_ingest() const {
  const std::string folder = concat(path_, "/ingest");
  TRY_ASSIGN(const auto names, sys::list_directory(folder));
  for (const auto& name : names) TRY(sys::remove_tree(concat(folder, "/", name)));
  return {};
}

}  // namespace berth::rootfs
