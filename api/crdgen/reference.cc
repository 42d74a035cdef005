#include "api/crdgen/reference.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/crdgen/schema.h"
#include "api/markers/markers.pb.h"

namespace sluice::crdgen {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

std::string Anchor(const Descriptor* message) {
  std::string out;
  for (const char c : message->name()) {
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

std::string ScalarName(const FieldDescriptor* field, bool int_or_string) {
  switch (field->type()) {
    case FieldDescriptor::TYPE_MESSAGE:
      return fmt::format("[{}](#{})", field->message_type()->name(), Anchor(field->message_type()));
    case FieldDescriptor::TYPE_STRING:
      return int_or_string ? "string or integer" : "string";
    case FieldDescriptor::TYPE_BOOL:
      return "boolean";
    default:
      return "integer";
  }
}

std::string TypeName(const FieldDescriptor* field) {
  const bool either = field->options().GetExtension(markers::field).int_or_string();
  if (field->is_map()) {
    return fmt::format("map of {}", ScalarName(field->message_type()->map_value(), either));
  }
  return field->is_repeated() ? fmt::format("list of {}", ScalarName(field, either))
                              : ScalarName(field, either);
}

// Safe inside a table's cell; a code span with a bar needs it escaped too.
std::string Cell(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '|') {
      out += "\\|";
    } else if (text.substr(i, 2) == "\n\n") {
      out += "<br>";
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string Constraints(const FieldDescriptor* field) {
  const markers::FieldRules& rules = field->options().GetExtension(markers::field);
  std::vector<std::string> parts;
  if (!rules.values().empty()) {
    parts.push_back(fmt::format("one of `{}`", fmt::join(rules.values(), "`, `")));
  }
  if (rules.has_minimum()) parts.push_back(fmt::format("at least {}", rules.minimum()));
  if (rules.has_maximum()) parts.push_back(fmt::format("at most {}", rules.maximum()));
  if (rules.has_min_items()) parts.push_back(fmt::format("{} entries or more", rules.min_items()));
  if (rules.has_max_items()) parts.push_back(fmt::format("{} entries at most", rules.max_items()));
  if (rules.has_min_length() && rules.min_length() > 0) parts.emplace_back("not empty");
  if (rules.has_max_length()) {
    parts.push_back(fmt::format("{} characters at most", rules.max_length()));
  }
  if (!rules.format().empty()) parts.push_back(fmt::format("format `{}`", rules.format()));
  if (!rules.pattern().empty()) parts.push_back(fmt::format("pattern `{}`", rules.pattern()));
  if (!rules.default_json().empty()) {
    parts.push_back(fmt::format("default `{}`", rules.default_json()));
  }
  if (rules.list_map_keys_size() > 0) {
    parts.push_back(fmt::format("one entry per `{}`", fmt::join(rules.list_map_keys(), "`, `")));
  }
  if (rules.immutable()) parts.emplace_back("cannot change");
  return parts.empty() ? "" : fmt::format(" *({})*", fmt::join(parts, "; "));
}

void AppendRules(const Descriptor* message, std::string* out) {
  std::vector<std::string> messages;
  for (const markers::Rule& rule : message->options().GetExtension(markers::message).rules()) {
    messages.push_back(rule.message());
  }
  for (int i = 0; i < message->field_count(); ++i) {
    const markers::FieldRules& rules = message->field(i)->options().GetExtension(markers::field);
    for (const markers::Rule& rule : rules.rules()) messages.push_back(rule.message());
    for (const markers::Rule& rule : rules.item_rules()) messages.push_back(rule.message());
  }
  for (int i = 0; i < message->real_oneof_decl_count(); ++i) {
    std::vector<std::string> names;
    for (int f = 0; f < message->oneof_decl(i)->field_count(); ++f) {
      names.push_back(message->oneof_decl(i)->field(f)->json_name());
    }
    const bool required = message->oneof_decl(i)->options().GetExtension(markers::oneof).required();
    messages.push_back(
        fmt::format("{} one of {}", required ? "exactly" : "at most", fmt::join(names, ", ")));
  }
  if (messages.empty()) return;
  *out += "\nRules:\n";
  for (const std::string& text : messages) *out += fmt::format("- {}\n", text);
}

void AppendMessage(const Descriptor* message, std::set<const Descriptor*>* seen, std::string* out) {
  if (!seen->insert(message).second) return;
  *out += fmt::format("\n## {}\n\n{}\n\n| field | type | what it is |\n|---|---|---|\n",
                      message->name(), Documentation(message));
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    const bool required = field->options().GetExtension(markers::field).required();
    *out +=
        fmt::format("| `{}`{} | {} | {}{} |\n", field->json_name(), required ? " **required**" : "",
                    TypeName(field), Cell(Documentation(field)), Cell(Constraints(field)));
  }
  AppendRules(message, out);
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    if (field->type() != FieldDescriptor::TYPE_MESSAGE) continue;
    if (!field->is_map()) AppendMessage(field->message_type(), seen, out);
  }
}

}  // namespace

std::string BuildReference(const Descriptor* message) {
  const markers::Kind& kind = message->options().GetExtension(markers::kind);
  std::string out = fmt::format(
      "<!-- Generated by api/crdgen from {}. Do not edit. -->\n# {}\n\n"
      "`sluice.dev/v1alpha1`, {}, `kubectl get {}`{}\n\n{}\n",
      message->file()->name(), message->name(),
      kind.scope() == markers::NAMESPACED ? "namespaced" : "cluster-scoped", kind.plural(),
      kind.short_names().empty()
          ? ""
          : fmt::format(" (short: `{}`)", fmt::join(kind.short_names(), "`, `")),
      Documentation(message));
  if (message->options().HasExtension(markers::message)) AppendRules(message, &out);
  std::set<const Descriptor*> seen{message};
  for (const char* part : {"spec", "status"}) {
    if (const FieldDescriptor* field = message->FindFieldByName(part)) {
      AppendMessage(field->message_type(), &seen, &out);
    }
  }
  return out;
}

}  // namespace sluice::crdgen
