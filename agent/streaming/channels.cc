// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/channels.h"

#include <algorithm>
#include <boost/json.hpp>

#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

namespace json = boost::json;
constexpr size_t kMaxResizeText = 256;
constexpr int64_t kMaxTerminalSide = 65535;

std::string exit_message(int code) { return concat("command terminated with non-zero exit code: exit code ", code); }

std::optional<unsigned> side(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return static_cast<unsigned>(std::clamp<int64_t>(value->get_int64(), 0, kMaxTerminalSide));
}

}  // namespace

std::string status_json(const Outcome& outcome) {
  if (!outcome.error && outcome.exit_code == 0) return R"({"metadata":{},"status":"Success"})";
  if (!outcome.error) {
    return json::serialize(json::object{
        {"metadata", json::object()},
        {"status", "Failure"},
        {"message", exit_message(outcome.exit_code)},
        {"reason", "NonZeroExitCode"},
        {"details",
         {{"causes", json::array{{{"reason", "ExitCode"}, {"message", std::to_string(outcome.exit_code)}}}}}},
    });
  }
  const std::string& text = outcome.error->message();
  return json::serialize(json::object{
      {"metadata", json::object()},
      {"status", "Failure"},
      {"message", concat("Internal error occurred: ", text)},
      {"reason", "InternalError"},
      {"details", {{"causes", json::array{{{"message", text}}}}}},
      {"code", 500},
  });
}

std::string status_text(const Outcome& outcome) {
  if (outcome.error) return concat("Internal error occurred: ", outcome.error->message());
  return outcome.exit_code == 0 ? std::string() : exit_message(outcome.exit_code);
}

Result<> Channels::take_resize(std::string_view bytes) {
  for (const char c : bytes) {
    resize_text_ += c;
    if (resize_text_.size() > kMaxResizeText) return fail(Code::kInvalidArgument, "resize: message too long");
    if (c != '}') continue;
    json::error_code error;
    const json::value value = json::parse(resize_text_, error);
    resize_text_.clear();
    if (error || !value.is_object()) return fail(Code::kInvalidArgument, "resize: not a terminal size");
    const auto width = side(value.get_object(), "Width");
    const auto height = side(value.get_object(), "Height");
    if (width && height && *width != 0 && *height != 0) inbox_.resize = TerminalSize{*width, *height};
  }
  return {};
}

}  // namespace berth::streaming
