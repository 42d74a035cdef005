#include "api/types/json_codec.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/markers/markers.pb.h"
#include "api/types/text.h"
#include "controller/base/check.h"

namespace sluice::types {
namespace {

using base::InvalidArgument;
using base::OkStatus;
using base::Status;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using nlohmann::json;

bool IsIntOrString(const FieldDescriptor* field) {
  return field->options().GetExtension(markers::field).int_or_string();
}

// "spec", "origins[0]", "labels[team]": grows and shrinks as reading descends.
class Path {
 public:
  class Step {
   public:
    Step(Path* path, std::string_view text) : path_(path), size_(path->text_.size()) {
      path_->text_ += text;
    }
    ~Step() { path_->text_.resize(size_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Path* path_;
    std::size_t size_;
  };

  std::string FieldText(std::string_view name) const {
    return text_.empty() ? std::string(name) : fmt::format(".{}", name);
  }
  Status Wrong(std::string_view wanted, const json& found) const {
    return InvalidArgument(
        fmt::format("{}: expected {}, found {}", Name(), wanted, Describe(found)));
  }
  Status Error(std::string_view what) const {
    return InvalidArgument(fmt::format("{}: {}", Name(), what));
  }

 private:
  std::string Name() const { return text_.empty() ? "object" : text_; }
  static std::string_view Describe(const json& value) {
    switch (value.type()) {
      case json::value_t::null:
        return "null";
      case json::value_t::object:
        return "an object";
      case json::value_t::array:
        return "a list";
      case json::value_t::string:
        return "a string";
      case json::value_t::boolean:
        return "a boolean";
      case json::value_t::number_float:
        return "a number with a fraction or exponent";
      case json::value_t::number_integer:
      case json::value_t::number_unsigned:
        return "a number";
      case json::value_t::binary:
      case json::value_t::discarded:
        break;
    }
    return "something else";
  }

  std::string text_;
};

class Reader {
 public:
  Status ReadMessage(const json& value, Message* message) {
    if (!value.is_object()) return path_.Wrong("an object", value);
    const Descriptor* descriptor = message->GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      const auto found = value.find(field->json_name());
      if (found == value.end() || found->is_null()) continue;
      Path::Step step(&path_, path_.FieldText(field->json_name()));
      if (const auto* oneof = field->real_containing_oneof();
          oneof != nullptr && message->GetReflection()->HasOneof(*message, oneof)) {
        const auto* other = message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
        return path_.Error(fmt::format("cannot be given together with {}", other->json_name()));
      }
      SLUICE_RETURN_IF_ERROR(ReadField(*found, field, message));
    }
    return OkStatus();
  }

 private:
  Status ReadField(const json& value, const FieldDescriptor* field, Message* message) {
    if (field->is_map()) return ReadMap(value, field, message);
    if (!field->is_repeated()) return ReadOne(value, field, message);
    if (!value.is_array()) return path_.Wrong("a list", value);
    for (std::size_t i = 0; i < value.size(); ++i) {
      Path::Step step(&path_, fmt::format("[{}]", i));
      SLUICE_RETURN_IF_ERROR(ReadOne(value[i], field, message));
    }
    return OkStatus();
  }

  Status ReadMap(const json& value, const FieldDescriptor* field, Message* message) {
    if (!value.is_object()) return path_.Wrong("an object", value);
    const FieldDescriptor* key = field->message_type()->map_key();
    SLUICE_CHECK(key->cpp_type() == FieldDescriptor::CPPTYPE_STRING);
    for (const auto& [name, item] : value.items()) {
      Path::Step step(&path_, fmt::format("[{}]", name));
      Message* entry = message->GetReflection()->AddMessage(message, field);
      entry->GetReflection()->SetString(entry, key, name);
      SLUICE_RETURN_IF_ERROR(ReadOne(item, field->message_type()->map_value(), entry));
    }
    return OkStatus();
  }

  // Sets a singular field, or adds to a repeated one.
  Status ReadOne(const json& value, const FieldDescriptor* field, Message* message) {
    const Reflection* reflection = message->GetReflection();
    const bool add = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return ReadMessage(value, add ? reflection->AddMessage(message, field)
                                      : reflection->MutableMessage(message, field));
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string text;
        if (value.is_string()) {
          text = value.get_ref<const std::string&>();
        } else if (value.is_number_integer() && IsIntOrString(field)) {
          text = value.dump();
        } else {
          return path_.Wrong(IsIntOrString(field) ? "a string or an integer" : "a string", value);
        }
        add ? reflection->AddString(message, field, std::move(text))
            : reflection->SetString(message, field, std::move(text));
        return OkStatus();
      }
      case FieldDescriptor::CPPTYPE_BOOL:
        if (!value.is_boolean()) return path_.Wrong("a boolean", value);
        add ? reflection->AddBool(message, field, value.get<bool>())
            : reflection->SetBool(message, field, value.get<bool>());
        return OkStatus();
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_INT64:
        return ReadInteger(value, field, message);
      default:
        break;  // api/crdgen refuses the other types when it generates
    }
    SLUICE_CHECK(false);
    return OkStatus();
  }

  Status ReadInteger(const json& value, const FieldDescriptor* field, Message* message) {
    if (!value.is_number_integer()) return path_.Wrong("an integer", value);
    const bool small = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32;
    const std::int64_t low =
        small ? std::numeric_limits<std::int32_t>::min() : std::numeric_limits<std::int64_t>::min();
    const std::int64_t high =
        small ? std::numeric_limits<std::int32_t>::max() : std::numeric_limits<std::int64_t>::max();
    const bool too_big =
        value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high);
    if (too_big || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
      return path_.Error(
          fmt::format("{} does not fit into {} bits", value.dump(), small ? 32 : 64));
    }
    const std::int64_t number = value.get<std::int64_t>();
    const Reflection* reflection = message->GetReflection();
    if (small) {
      const auto narrow = static_cast<std::int32_t>(number);
      field->is_repeated() ? reflection->AddInt32(message, field, narrow)
                           : reflection->SetInt32(message, field, narrow);
    } else {
      field->is_repeated() ? reflection->AddInt64(message, field, number)
                           : reflection->SetInt64(message, field, number);
    }
    return OkStatus();
  }

  Path path_;
};

// The integer that `text` is written as, if it is the plain form of one.
std::optional<std::int64_t> PlainInteger(const std::string& text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return std::stoll(text);
}

json WriteMessage(const Message& message);

json WriteString(const FieldDescriptor* field, const std::string& text) {
  if (IsIntOrString(field)) {
    if (const auto number = PlainInteger(text)) return *number;
  }
  return ValidUtf8(text);
}

json WriteOne(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  std::string scratch;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return WriteMessage(reflection->GetMessage(message, field));
    case FieldDescriptor::CPPTYPE_STRING:
      return WriteString(field, reflection->GetStringReference(message, field, &scratch));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetInt64(message, field);
    default:
      break;
  }
  SLUICE_CHECK(false);
  return nullptr;
}

json WriteItem(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection* reflection = message.GetReflection();
  std::string scratch;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return WriteMessage(reflection->GetRepeatedMessage(message, field, index));
    case FieldDescriptor::CPPTYPE_STRING:
      return WriteString(field,
                         reflection->GetRepeatedStringReference(message, field, index, &scratch));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetRepeatedBool(message, field, index);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetRepeatedInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetRepeatedInt64(message, field, index);
    default:
      break;
  }
  SLUICE_CHECK(false);
  return nullptr;
}

json WriteRepeated(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  const int size = reflection->FieldSize(message, field);
  json out = field->is_map() ? json::object() : json::array();
  for (int i = 0; i < size; ++i) {
    if (!field->is_map()) {
      out.push_back(WriteItem(message, field, i));
      continue;
    }
    const Message& entry = reflection->GetRepeatedMessage(message, field, i);
    const std::string name =
        entry.GetReflection()->GetString(entry, field->message_type()->map_key());
    out[ValidUtf8(name)] = WriteOne(entry, field->message_type()->map_value());
  }
  return out;
}

bool IsSet(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  if (field->is_repeated()) return reflection->FieldSize(message, field) > 0;
  if (reflection->HasField(message, field)) return true;  // without presence: is not zero
  return !field->has_presence() && field->options().GetExtension(markers::field).required();
}

json WriteMessage(const Message& message) {
  json out = json::object();
  const Descriptor* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (!IsSet(message, field)) continue;
    out[field->json_name()] =
        field->is_repeated() ? WriteRepeated(message, field) : WriteOne(message, field);
  }
  return out;
}

}  // namespace

Status FromJson(const json& value, Message* message) {
  message->Clear();
  Reader reader;
  Status status = reader.ReadMessage(value, message);
  if (!status.ok()) message->Clear();
  return status;
}

json ToJson(const Message& message) { return WriteMessage(message); }

}  // namespace sluice::types
