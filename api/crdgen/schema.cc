#include "api/crdgen/schema.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "api/markers/markers.pb.h"

namespace sluice::crdgen {
namespace {

using base::InvalidArgument;
using base::OkStatus;
using base::Status;
using base::StatusOr;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;
using json = nlohmann::ordered_json;

const markers::FieldRules& RulesOf(const FieldDescriptor* field) {
  return field->options().GetExtension(markers::field);
}

Status Broken(const FieldDescriptor* field, std::string_view what) {
  return InvalidArgument(fmt::format("{}: {}", field->full_name(), what));
}

template <typename D>
std::string LeadingComment(const D* descriptor) {
  google::protobuf::SourceLocation location;
  if (!descriptor->GetSourceLocation(&location)) return "";
  std::istringstream lines(location.leading_comments);
  std::string text;
  bool paragraph_ended = false;
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find_first_not_of(' ');
    if (first == std::string::npos) {
      paragraph_ended = !text.empty();
      continue;
    }
    if (paragraph_ended) {
      text += "\n\n";
    } else if (!text.empty()) {
      text += ' ';
    }
    paragraph_ended = false;
    text += line.substr(first, line.find_last_not_of(' ') - first + 1);
  }
  return text;
}

json Rule(std::string_view expression, std::string_view message) {
  return {{"rule", expression}, {"message", message}};
}

void AddRules(const google::protobuf::RepeatedPtrField<markers::Rule>& rules, json* schema) {
  for (const markers::Rule& rule : rules) {
    (*schema)["x-kubernetes-validations"].push_back(Rule(rule.expression(), rule.message()));
  }
}

// "exactly one of" or "at most one of" over the members of a oneof.
json OneofRule(const OneofDescriptor* oneof) {
  std::string sum;
  std::string names;
  for (int i = 0; i < oneof->field_count(); ++i) {
    const std::string& name = oneof->field(i)->json_name();
    sum += fmt::format("{}(has(self.{}) ? 1 : 0)", i == 0 ? "" : " + ", name);
    names += fmt::format("{}{}", i == 0 ? "" : ", ", name);
  }
  const bool required = oneof->options().GetExtension(markers::oneof).required();
  if (oneof->field_count() == 1 && required) {
    return Rule(fmt::format("has(self.{})", names), fmt::format("{}: must be given", names));
  }
  return Rule(
      fmt::format("{} {} 1", sum, required ? "==" : "<="),
      fmt::format("{}: {} one of them must be given", names, required ? "exactly" : "at most"));
}

class Builder {
 public:
  StatusOr<json> Object(const Descriptor* message) {
    json schema{{"type", "object"}};
    json required = json::array();
    json properties = json::object();
    for (int i = 0; i < message->field_count(); ++i) {
      const FieldDescriptor* field = message->field(i);
      SLUICE_ASSIGN_OR_RETURN(properties[field->json_name()], Field(field));
      if (RulesOf(field).required()) required.push_back(field->json_name());
    }
    schema["properties"] = std::move(properties);
    if (!required.empty()) schema["required"] = std::move(required);
    AddRules(message->options().GetExtension(markers::message).rules(), &schema);
    for (int i = 0; i < message->real_oneof_decl_count(); ++i) {
      schema["x-kubernetes-validations"].push_back(OneofRule(message->oneof_decl(i)));
    }
    return schema;
  }

 private:
  StatusOr<json> Field(const FieldDescriptor* field) {
    const std::string description = Documentation(field);
    if (description.empty()) return Broken(field, "has no comment; it is the user's documentation");
    const markers::FieldRules& rules = RulesOf(field);
    json schema{{"description", description}};
    if (field->is_repeated()) {
      SLUICE_ASSIGN_OR_RETURN(json container, field->is_map() ? Map(field) : List(field));
      schema.update(container);
    } else {
      SLUICE_ASSIGN_OR_RETURN(json value, Value(field, rules));
      schema.update(value);
    }
    if (!rules.default_json().empty()) {
      json value = json::parse(rules.default_json(), nullptr, false);
      if (value.is_discarded()) return Broken(field, "default_json is not JSON");
      schema["default"] = std::move(value);
    }
    if (rules.preserve_unknown()) schema["x-kubernetes-preserve-unknown-fields"] = true;
    AddRules(rules.rules(), &schema);
    if (rules.immutable()) {
      schema["x-kubernetes-validations"].push_back(
          Rule("self == oldSelf", fmt::format("{}: cannot change; delete the object and make a new "
                                              "one",
                                              field->json_name())));
    }
    return schema;
  }

  StatusOr<json> List(const FieldDescriptor* field) {
    const markers::FieldRules& rules = RulesOf(field);
    if (!rules.has_max_items()) return Broken(field, "a list needs max_items");
    SLUICE_ASSIGN_OR_RETURN(json items, Value(field, rules));
    AddRules(rules.item_rules(), &items);
    json schema{{"type", "array"}};
    if (rules.has_min_items()) schema["minItems"] = rules.min_items();
    schema["maxItems"] = rules.max_items();
    if (rules.list_map_keys_size() > 0) {
      for (const std::string& key : rules.list_map_keys()) {
        if (!items["properties"].contains(key)) return Broken(field, "list_map_keys: no " + key);
        schema["x-kubernetes-list-map-keys"].push_back(key);
      }
      schema["x-kubernetes-list-type"] = "map";
    } else {
      schema["x-kubernetes-list-type"] = rules.set() ? "set" : "atomic";
    }
    schema["items"] = std::move(items);
    return schema;
  }

  StatusOr<json> Map(const FieldDescriptor* field) {
    const markers::FieldRules& rules = RulesOf(field);
    if (!rules.has_max_items()) return Broken(field, "a map needs max_items");
    if (field->message_type()->map_key()->type() != FieldDescriptor::TYPE_STRING) {
      return Broken(field, "a map's key must be a string");
    }
    SLUICE_ASSIGN_OR_RETURN(json value, Value(field->message_type()->map_value(), rules));
    json schema{{"type", "object"}, {"additionalProperties", std::move(value)}};
    if (rules.has_min_items()) schema["minProperties"] = rules.min_items();
    schema["maxProperties"] = rules.max_items();
    return schema;
  }

  // One value: the field itself, or an item of it.
  StatusOr<json> Value(const FieldDescriptor* field, const markers::FieldRules& rules) {
    switch (field->type()) {
      case FieldDescriptor::TYPE_MESSAGE:
        return Object(field->message_type());
      case FieldDescriptor::TYPE_STRING:
        return String(field, rules);
      case FieldDescriptor::TYPE_INT32:
      case FieldDescriptor::TYPE_INT64: {
        json schema{{"type", "integer"},
                    {"format", field->type() == FieldDescriptor::TYPE_INT32 ? "int32" : "int64"}};
        AddRange(rules, &schema);
        return schema;
      }
      case FieldDescriptor::TYPE_BOOL:
        return json{{"type", "boolean"}};
      default:
        return Broken(field, fmt::format("type {} has no loss-free form here; use string or int64",
                                         field->type_name()));
    }
  }

  StatusOr<json> String(const FieldDescriptor* field, const markers::FieldRules& rules) {
    if (!rules.has_max_length() && rules.values().empty() && rules.format().empty()) {
      return Broken(field, "a string needs max_length, values or format");
    }
    json schema = json::object();
    if (rules.int_or_string()) {
      schema["x-kubernetes-int-or-string"] = true;
      schema["anyOf"] = json::array({json{{"type", "integer"}}, json{{"type", "string"}}});
      AddRange(rules, &schema);
    } else {
      schema["type"] = "string";
    }
    if (!rules.format().empty()) schema["format"] = rules.format();
    for (const std::string& value : rules.values()) schema["enum"].push_back(value);
    if (rules.has_min_length()) schema["minLength"] = rules.min_length();
    if (rules.has_max_length()) schema["maxLength"] = rules.max_length();
    if (!rules.pattern().empty()) schema["pattern"] = rules.pattern();
    return schema;
  }

  static void AddRange(const markers::FieldRules& rules, json* schema) {
    if (rules.has_minimum()) (*schema)["minimum"] = rules.minimum();
    if (rules.has_maximum()) (*schema)["maximum"] = rules.maximum();
  }
};

}  // namespace

std::string Documentation(const Descriptor* message) { return LeadingComment(message); }
std::string Documentation(const FieldDescriptor* field) { return LeadingComment(field); }

StatusOr<json> BuildSchema(const Descriptor* message) {
  SLUICE_ASSIGN_OR_RETURN(json schema, Builder().Object(message));
  if (!message->options().HasExtension(markers::kind)) return schema;
  const std::string description = Documentation(message);
  if (description.empty()) return InvalidArgument(message->full_name() + ": has no comment");
  json properties{
      {"apiVersion",
       {{"description", "The version of the kind's schema: sluice.dev/v1alpha1."},
        {"type", "string"}}},
      {"kind", {{"description", "The kind: " + message->name() + "."}, {"type", "string"}}},
      {"metadata", {{"type", "object"}}}};
  properties.update(schema["properties"]);
  schema["properties"] = std::move(properties);
  json out{{"description", description}};
  out.update(schema);
  return out;
}

}  // namespace sluice::crdgen
