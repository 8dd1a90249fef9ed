// SPDX-License-Identifier: Apache-2.0
#include "agent/network/kept_results.h"

#include <cerrno>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::network {
namespace {

namespace json = boost::json;
constexpr std::string_view kSuffix = ".json";

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

json::object attachment_to_json(const Attachment& from) {
  json::array ports;
  for (const auto& port : from.ports) {
    ports.emplace_back(json::object{{"protocol", port.protocol}, {"container_port", port.container_port}, {"host_port", port.host_port}, {"host_ip", port.host_ip}});
  }
  return {{"pod_id", from.pod_id}, {"netns", from.netns}, {"pod_name", from.pod_name}, {"pod_namespace", from.pod_namespace}, {"pod_uid", from.pod_uid}, {"ports", std::move(ports)}};
}

uint16_t port_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() ? static_cast<uint16_t>(value->get_int64()) : uint16_t{0};
}

Attachment attachment_from_json(const json::object& from) {
  Attachment to;
  to.pod_id = text_of(from, "pod_id");
  to.netns = text_of(from, "netns");
  to.pod_name = text_of(from, "pod_name");
  to.pod_namespace = text_of(from, "pod_namespace");
  to.pod_uid = text_of(from, "pod_uid");
  const json::value* ports = from.if_contains("ports");
  if (ports == nullptr || !ports->is_array()) return to;
  for (const auto& value : ports->get_array()) {
    if (!value.is_object()) continue;
    const auto& port = value.get_object();
    to.ports.push_back({text_of(port, "protocol"), port_of(port, "container_port"), port_of(port, "host_port"), text_of(port, "host_ip")});
  }
  return to;
}

}  // namespace

std::string KeptResults::path_of(const std::string& pod_id) const { return concat(root_, "/", pod_id, kSuffix); }

Result<> KeptResults::write(const KeptResult& kept) const {
  const json::object object{{"kind", kept.kind}, {"attachment", attachment_to_json(kept.attachment)}, {"config", kept.config}, {"result", kept.result}};
  TRY(sys::make_directories(root_));
  return sys::replace_file(path_of(kept.attachment.pod_id), json::serialize(object));
}

Result<std::optional<KeptResult>> KeptResults::read(const std::string& pod_id) const {
  auto text = sys::read_file(path_of(pod_id));
  if (!text && text.error().code() == Code::kNotFound) return std::nullopt;
  if (!text) return std::unexpected(std::move(text).error());
  boost::system::error_code error;
  const json::value value = json::parse(*text, error);
  const json::value* attachment = !error && value.is_object() ? value.get_object().if_contains("attachment") : nullptr;
  if (attachment == nullptr || !attachment->is_object()) {
    return fail(Code::kDataLoss, concat("network result ", quote(path_of(pod_id)), " is damaged"));
  }
  KeptResult kept;
  kept.kind = text_of(value.get_object(), "kind");
  kept.attachment = attachment_from_json(attachment->get_object());
  kept.config = text_of(value.get_object(), "config");
  if (const json::value* result = value.get_object().if_contains("result")) kept.result = *result;
  return kept;
}

Result<> KeptResults::remove(const std::string& pod_id) const {
  if (::unlink(path_of(pod_id).c_str()) != 0 && errno != ENOENT) return fail_errno(concat("remove ", quote(path_of(pod_id))));
  return {};
}

Result<std::vector<std::string>> KeptResults::pods() const {
  auto names = sys::list_directory(root_);
  std::vector<std::string> ids;
  if (!names && names.error().code() == Code::kNotFound) return ids;
  if (!names) return std::unexpected(std::move(names).error());
  for (const auto& name : *names) {
    if (!name.starts_with('.') && name.ends_with(kSuffix)) ids.push_back(name.substr(0, name.size() - kSuffix.size()));
  }
  return ids;
}

}  // namespace berth::network
