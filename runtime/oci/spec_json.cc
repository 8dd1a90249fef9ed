// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/spec_json.h"

#include <boost/json.hpp>
#include <limits>

#include "runtime/base/strings.h"
#include "runtime/oci/spec_fields.h"

namespace berth::oci {
namespace {

namespace json = boost::json;

// Where in the document we are: a chain on the stack, made text only for an error.
struct Place {
  const Place* parent = nullptr;
  std::string_view key;
  long index = -1;

  std::string text() const {
    std::string out = parent ? parent->text() : std::string();
    if (index >= 0) return concat(out, '[', index, ']');
    if (!out.empty()) out += '.';
    out += key;
    return out;
  }
};

class Reader;

template <typename T>
concept Struct = requires(Reader& reader, T& value) { fields(reader, value); };

// Reads one object; the first error stops everything.
class Reader {
 public:
  Reader(const json::object& object, const Place& place, std::string& error)
      : object_(object), place_(place), error_(error) {}

  template <typename T>
  void operator()(std::string_view key, T& out) {
    if (const auto* value = find(key)) read(*value, out, Place{&place_, key});
  }
  template <typename T>
  void always(std::string_view key, T& out) {
    (*this)(key, out);
  }
  template <typename T>
  void must(std::string_view key, T& out) {
    const auto* value = find(key);
    if (value == nullptr) return complain(Place{&place_, key}, "is missing");
    read(*value, out, Place{&place_, key});
  }
  template <typename T>
  void nested(std::string_view key, std::string_view inner, T& out) {
    const auto* value = find(key);
    if (value == nullptr) return;
    const Place place{&place_, key};
    const auto* object = value->if_object();
    if (object == nullptr) return complain(place, "must be an object");
    Reader(*object, place, error_)(inner, out);
  }

  void read(const json::value& value, bool& out, const Place& place) {
    if (const auto* flag = value.if_bool()) {
      out = *flag;
    } else {
      complain(place, "must be true or false");
    }
  }

  void read(const json::value& value, std::string& out, const Place& place) {
    if (const auto* text = value.if_string()) {
      out.assign(text->data(), text->size());
    } else {
      complain(place, "must be a string");
    }
  }

  template <std::integral T>
  void read(const json::value& value, T& out, const Place& place) {
    const auto* number = value.if_int64();
    const auto* large = value.if_uint64();
    if (number == nullptr && large == nullptr) return complain(place, "must be an integer");
    const bool fits = number ? std::in_range<T>(*number) : std::in_range<T>(*large);
    if (!fits) return complain(place, "is out of range");
    out = number ? static_cast<T>(*number) : static_cast<T>(*large);
  }

  template <typename T>
  void read(const json::value& value, std::optional<T>& out, const Place& place) {
    read(value, out.emplace(), place);
  }

  template <typename T>
  void read(const json::value& value, std::vector<T>& out, const Place& place) {
    const auto* array = value.if_array();
    if (array == nullptr) return complain(place, "must be an array");
    out.clear();
    out.reserve(array->size());
    long index = 0;
    for (const auto& element : *array) {
      if (!error_.empty()) return;
      read(element, out.emplace_back(), Place{&place, {}, index++});
    }
  }

  template <typename T>
  void read(const json::value& value, std::map<std::string, T>& out, const Place& place) {
    const auto* object = value.if_object();
    if (object == nullptr) return complain(place, "must be an object");
    for (const auto& member : *object) {
      if (!error_.empty()) return;
      read(member.value(), out[std::string(member.key())], Place{&place, member.key()});
    }
  }

  template <Struct T>
  void read(const json::value& value, T& out, const Place& place) {
    const auto* object = value.if_object();
    if (object == nullptr) return complain(place, "must be an object");
    Reader reader(*object, place, error_);
    fields(reader, out);
  }

 private:
  // null counts as absent: Go writes it for empty pointers.
  const json::value* find(std::string_view key) const {
    if (!error_.empty()) return nullptr;
    const auto* value = object_.if_contains(key);
    return value != nullptr && !value->is_null() ? value : nullptr;
  }

  void complain(const Place& place, std::string_view what) {
    if (error_.empty()) error_ = concat(place.text(), ": ", what);
  }

  const json::object& object_;
  const Place& place_;
  std::string& error_;
};

// Appends JSON text; members that hold nothing are left out.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <typename T>
  void operator()(std::string_view key, const T& value) {
    if (!empty(value)) member(key, value);
  }
  template <typename T>
  void always(std::string_view key, const T& value) {
    member(key, value);
  }
  template <typename T>
  void must(std::string_view key, const T& value) {
    member(key, value);
  }
  template <typename T>
  void nested(std::string_view key, std::string_view inner, const T& value) {
    if (empty(value)) return;
    name(key);
    out_ += '{';
    Writer(out_).member(inner, value);
    out_ += '}';
  }

  void write(bool value) { out_ += value ? "true" : "false"; }
  void write(const std::string& value) { out_ += json::serialize(json::string_view(value)); }
  void write(std::integral auto value) { out_ += std::to_string(value); }
  template <typename T>
  void write(const std::optional<T>& value) {
    write(*value);
  }
  template <typename T>
  void write(const std::vector<T>& values) {
    out_ += '[';
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      write(values[i]);
    }
    out_ += ']';
  }
  template <typename T>
  void write(const std::map<std::string, T>& values) {
    out_ += '{';
    Writer inner(out_);
    for (const auto& [key, value] : values) inner.member(key, value);
    out_ += '}';
  }
  template <typename T>
    requires std::is_class_v<T>
  void write(const T& value) {
    out_ += '{';
    Writer inner(out_);
    fields(inner, value);
    out_ += '}';
  }

 private:
  static bool empty(bool value) { return !value; }
  static bool empty(const std::string& value) { return value.empty(); }
  static bool empty(std::integral auto value) { return value == 0; }
  template <typename T>
  static bool empty(const std::optional<T>& value) {
    return !value;
  }
  template <typename T>
  static bool empty(const std::vector<T>& value) {
    return value.empty();
  }
  template <typename T>
  static bool empty(const std::map<std::string, T>& value) {
    return value.empty();
  }

  void name(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += json::serialize(json::string_view(key));
    out_ += ':';
  }
  template <typename T>
  void member(std::string_view key, const T& value) {
    name(key);
    write(value);
  }

  std::string& out_;
  bool first_ = true;
};

template <typename T>
Result<T> parse(std::string_view text, std::string_view what) {
  json::error_code code;
  json::monotonic_resource arena;  // one block, freed at once: nothing of the document outlives this call
  const json::value document = json::parse(json::string_view(text), code, &arena);
  if (code) return fail(Code::kInvalidArgument, concat("parse ", what, ": not valid JSON: ", code.message()));
  T out;
  std::string error;
  const Place top{nullptr, what};
  const json::object none;
  Reader(none, top, error).read(document, out, top);
  if (!error.empty()) return fail(Code::kInvalidArgument, std::move(error));
  return out;
}

template <typename T>
std::string print(const T& value) {
  std::string out;
  Writer(out).write(value);
  return out;
}

}  // namespace

Result<Spec> parse_spec(std::string_view text) { return parse<Spec>(text, "config"); }
Result<Process> parse_process(std::string_view text) { return parse<Process>(text, "process"); }
Result<Resources> parse_resources(std::string_view text) { return parse<Resources>(text, "resources"); }
Result<Seccomp> parse_seccomp(std::string_view text) { return parse<Seccomp>(text, "seccomp"); }

std::string to_json(const Spec& spec) { return print(spec); }
std::string to_json(const Process& process) { return print(process); }
std::string to_json(const Resources& resources) { return print(resources); }

}  // namespace berth::oci
