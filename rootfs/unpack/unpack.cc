// SPDX-License-Identifier: Apache-2.0
#include "rootfs/unpack/unpack.h"

#include "rootfs/unpack/apply.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

// Between decompressor and tar reader: stops bombs and cancelled work.
class BudgetSource : public ByteSource {
 public:
  BudgetSource(ByteSource& below, const HashSource& compressed, const UnpackOptions& options)
      : below_(below), compressed_(compressed), options_(options) {}

  Result<size_t> read(std::span<char> into) override {
    if (options_.check) TRY(options_.check());
    TRY_ASSIGN(const size_t got, below_.read(into));
    count_ += static_cast<int64_t>(got);
    const auto& limits = options_.limits;
    if (count_ > limits.ratio_free_bytes && count_ / limits.ratio > compressed_.count()) {
      return fail(Code::kResourceExhausted, concat("the layer expands more than ", limits.ratio, " times"));
    }
    if (options_.progress) options_.progress(compressed_.count());
    return got;
  }

 private:
  ByteSource& below_;
  const HashSource& compressed_;
  const UnpackOptions& options_;
  int64_t count_ = 0;
};

// The tar reader asks for blocks of 512 bytes; the layers below work better in large pieces.
class ChunkSource : public ByteSource {
 public:
  explicit ChunkSource(ByteSource& below) : below_(below), buffer_(256u << 10) {}
  Result<size_t> read(std::span<char> into) override {
    if (start_ == end_) {
      if (into.size() >= buffer_.size()) return below_.read(into);
      TRY_ASSIGN(end_, below_.read(buffer_));
      start_ = 0;
    }
    const size_t size = std::min(into.size(), end_ - start_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(start_), size, into.begin());
    start_ += size;
    return size;
  }

 private:
  ByteSource& below_;
  std::vector<char> buffer_;
  size_t start_ = 0;
  size_t end_ = 0;
};

Result<> verify(std::string_view what, const Digest& expected, const Digest& got) {
  if (expected.empty() || expected == got) return {};
  return fail(Code::kDataLoss, concat(what, ": expected ", expected.str(), ", got ", got.str()));
}

// Bytes after the end of the compressed stream belong to the digest too.
Result<> drain(ByteSource& source) {
  std::vector<char> waste(64u << 10);
  while (true) {
    TRY_ASSIGN(const size_t got, source.read(waste));
    if (got == 0) return {};
  }
}

}  // namespace

Result<UnpackReport> unpack_layer(ByteSource& blob, int target, const UnpackOptions& options) {
  HashSource compressed(blob);
  TRY_ASSIGN(const auto plain, decompress(compressed));
  BudgetSource budget(*plain, compressed, options);
  HashSource uncompressed(budget);
  ChunkSource chunks(uncompressed);
  TarReader reader(chunks, options.limits.tar);
  LayerWriter writer(target, options.limits, options.lower);
  while (true) {
    TRY_ASSIGN(const auto entry, reader.next());
    if (!entry) break;
    TRY(writer.apply(*entry, reader), concat("entry ", quote(entry->path.substr(0, 256))));
  }
  TRY(reader.drain());
  TRY(drain(compressed));
  TRY(writer.finish());
  UnpackReport report{compressed.count(), uncompressed.count(), writer.entries()};
  TRY(verify("layer", options.compressed, compressed.digest()));
  TRY(verify("uncompressed layer", options.diff_id, uncompressed.digest()));
  return report;
}

}  // namespace berth::rootfs
