// SPDX-License-Identifier: Apache-2.0
// The interface definition against the table of facts, both ways: nothing missing, nothing of our own.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "cri/methods.h"
#include "cri/proto/runtime/v1/api.pb.h"
#include "tests/support/catch.h"

namespace {

namespace pb = google::protobuf;

// Names inside the package, as the table has them.
std::string local_name(const std::string& full) {
  constexpr std::string_view package = "runtime.v1.";
  return full.starts_with(package) ? full.substr(package.size()) : full;
}

std::string type_of(const pb::FieldDescriptor& field) {
  if (field.is_map()) {
    return "map<" + type_of(*field.message_type()->map_key()) + "," + type_of(*field.message_type()->map_value()) + ">";
  }
  std::string type = field.type_name();
  if (field.message_type() != nullptr) type = local_name(field.message_type()->full_name());
  if (field.enum_type() != nullptr) type = local_name(field.enum_type()->full_name());
  return field.is_repeated() ? "repeated " + type : type;
}

void add_enum(const pb::EnumDescriptor& type, std::set<std::string>& lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    const auto& value = *type.value(i);
    lines.insert("enum\t" + local_name(type.full_name()) + "\t" + value.name() + "\t" + std::to_string(value.number()) +
                 "\t");
  }
}

std::set<std::string> built() {
  const pb::FileDescriptor& file = *runtime::v1::VersionRequest::descriptor()->file();
  std::set<std::string> lines;
  for (int i = 0; i < file.service_count(); ++i) {
    const auto& service = *file.service(i);
    for (int k = 0; k < service.method_count(); ++k) {
      const auto& method = *service.method(k);
      lines.insert("rpc\t" + service.name() + "\t" + method.name() + "\t" + method.input_type()->name() + "\t" +
                   (method.server_streaming() ? "stream " : "") + method.output_type()->name());
    }
  }
  for (int i = 0; i < file.enum_type_count(); ++i) add_enum(*file.enum_type(i), lines);
  for (int i = 0; i < file.message_type_count(); ++i) {
    const auto& message = *file.message_type(i);
    for (int k = 0; k < message.enum_type_count(); ++k) add_enum(*message.enum_type(k), lines);
    for (int k = 0; k < message.field_count(); ++k) {
      const auto& field = *message.field(k);
      lines.insert("field\t" + message.name() + "\t" + field.name() + "\t" + std::to_string(field.number()) + "\t" +
                   type_of(field) + (field.options().deprecated() ? " deprecated" : ""));
    }
    if (message.field_count() == 0) lines.insert("message\t" + message.name() + "\t\t\t");
  }
  return lines;
}

std::set<std::string> table() {
  std::ifstream file("tests/data/cri-runtime-v1.tsv");
  REQUIRE(file.is_open());
  std::set<std::string> lines;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) lines.insert(line);
  return lines;
}

}  // namespace

TEST_CASE("the built interface has every line of the table") {
  const auto have = built();
  for (const std::string& line : table()) {
    INFO(line);
    CHECK(have.contains(line));
  }
}

TEST_CASE("the built interface has nothing beyond the table") {
  const auto want = table();
  for (const std::string& line : built()) {
    INFO(line);
    CHECK(want.contains(line));
  }
}

TEST_CASE("every RPC has a row of methods.h that agrees with the interface") {
  const pb::FileDescriptor& file = *runtime::v1::VersionRequest::descriptor()->file();
  size_t methods = 0;
  for (int i = 0; i < file.service_count(); ++i) {
    for (int k = 0; k < file.service(i)->method_count(); ++k) {
      const auto& method = *file.service(i)->method(k);
      ++methods;
      INFO(method.full_name());
      const auto* row = std::ranges::find(berth::cri::kMethods, method.name(), [](const auto& m) { return m.name; });
      REQUIRE(row != std::end(berth::cri::kMethods));
      CHECK(row->service == file.service(i)->full_name());
      CHECK(row->stream == method.server_streaming());
    }
  }
  CHECK(methods == std::size(berth::cri::kMethods));
  CHECK(methods == 43);
}
