// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <isa-l/igzip_lib.h>
#include <vector>
#include <zstd.h>

#include "rootfs/unpack/source.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr size_t kInputSize = 256u << 10;
constexpr size_t kMagicSize = 6;
constexpr int kMaxWindowLog = 27;  // 128 MiB, what the zstd tool accepts without --long

// Input that was looked at already, then the source below.
class Buffered {
 public:
  explicit Buffered(ByteSource& below) : below_(below), buffer_(kInputSize) {}

  std::string_view left() const { return {buffer_.data() + start_, end_ - start_}; }
  void consume(size_t size) { start_ += size; }
  bool ended() const { return ended_; }
  // Adds to left(); sets ended() when nothing more comes.
  Result<> fill() {
    if (start_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + start_, end_ - start_);
      end_ -= start_;
      start_ = 0;
    }
    TRY_ASSIGN(const size_t got, below_.read(std::span(buffer_).subspan(end_)));
    end_ += got;
    ended_ = got == 0;
    return {};
  }
  Result<> fill_to(size_t size) {
    while (!ended_ && end_ - start_ < size) TRY(fill());
    return {};
  }

 private:
  ByteSource& below_;
  std::vector<char> buffer_;
  size_t start_ = 0;
  size_t end_ = 0;
  bool ended_ = false;
};

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(Buffered input) : input_(std::move(input)) {}
  Result<size_t> read(std::span<char> into) override {
    if (input_.left().empty()) TRY(input_.fill_to(1));
    const size_t size = std::min(into.size(), input_.left().size());
    std::memcpy(into.data(), input_.left().data(), size);
    input_.consume(size);
    return size;
  }

 private:
  Buffered input_;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(Buffered input) : input_(std::move(input)) { begin_member(); }

  Result<size_t> read(std::span<char> into) override {
    while (!done_) {
      if (input_.left().empty()) TRY(input_.fill_to(1));
      if (state_.block_state == ISAL_BLOCK_FINISH) {
        TRY(next_member());
        continue;
      }
      TRY_ASSIGN(const size_t got, inflate(into));
      if (got > 0) return got;
      if (state_.block_state != ISAL_BLOCK_FINISH && input_.left().empty() && input_.ended()) {
        return fail(Code::kDataLoss, "gzip: the stream is cut short");
      }
    }
    return 0;
  }

 private:
  void begin_member() {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
  }

  Result<size_t> inflate(std::span<char> into) {
    const auto left = input_.left();
    state_.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(left.data()));
    state_.avail_in = static_cast<uint32_t>(left.size());
    state_.next_out = reinterpret_cast<uint8_t*>(into.data());
    const auto room = static_cast<uint32_t>(std::min<size_t>(into.size(), 1u << 30));
    state_.avail_out = room;
    const int status = isal_inflate(&state_);
    input_.consume(left.size() - state_.avail_in);
    if (status == ISAL_INCORRECT_CHECKSUM) return fail(Code::kDataLoss, "gzip: wrong checksum");
    if (status != ISAL_DECOMP_OK) return fail(Code::kDataLoss, concat("gzip: corrupt data (", status, ")"));
    return room - state_.avail_out;
  }

  // After a member: another one, zero padding, or the end.
  Result<> next_member() {
    while (input_.left().starts_with('\0')) {
      input_.consume(1);
      if (input_.left().empty()) TRY(input_.fill_to(1));
    }
    if (input_.left().empty() && input_.ended()) {
      done_ = true;
      return {};
    }
    TRY(input_.fill_to(2));
    if (!input_.left().starts_with("\x1f\x8b")) return fail(Code::kDataLoss, "gzip: garbage after the end");
    begin_member();
    return {};
  }

  Buffered input_;
  inflate_state state_;
  bool done_ = false;
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(Buffered input) : input_(std::move(input)), stream_(ZSTD_createDStream()) {
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

  Result<size_t> read(std::span<char> into) override {
    while (true) {
      if (input_.left().empty()) TRY(input_.fill_to(1));
      const bool no_input = input_.left().empty();
      if (no_input && frame_ended_) return 0;
      ZSTD_inBuffer in{input_.left().data(), input_.left().size(), 0};
      ZSTD_outBuffer out{into.data(), into.size(), 0};
      const size_t hint = ZSTD_decompressStream(stream_, &out, &in);
      if (ZSTD_isError(hint) != 0) return fail(Code::kDataLoss, concat("zstd: ", ZSTD_getErrorName(hint)));
      input_.consume(in.pos);
      frame_ended_ = hint == 0;
      if (out.pos > 0) return out.pos;
      if (no_input && !frame_ended_) return fail(Code::kDataLoss, "zstd: the stream is cut short");
    }
  }

 private:
  Buffered input_;
  ZSTD_DStream* stream_;
  bool frame_ended_ = true;
};

bool is_zstd(std::string_view head) {
  if (head.starts_with("\x28\xb5\x2f\xfd")) return true;
  // A skippable frame: 0x184D2A5? little endian.
  return head.size() >= 4 && (static_cast<unsigned char>(head[0]) & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18";
}

}  // namespace

Result<std::unique_ptr<ByteSource>> decompress(ByteSource& below) {
  Buffered input(below);
  TRY(input.fill_to(kMagicSize));
  const std::string_view head = input.left();
  if (head.starts_with("\x1f\x8b")) return std::make_unique<GzipSource>(std::move(input));
  if (is_zstd(head)) return std::make_unique<ZstdSource>(std::move(input));
  if (head.starts_with("\xfd" "7zXZ")) return fail(Code::kUnimplemented, "layers compressed with xz are not supported");
  if (head.starts_with("BZh")) return fail(Code::kUnimplemented, "layers compressed with bzip2 are not supported");
  return std::make_unique<PlainSource>(std::move(input));
}

}  // namespace berth::rootfs
