#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "api/crdgen/crd.h"
#include "api/crdgen/schema.h"
#include "api/crdgen/yaml_writer.h"
#include "api/markers/markers.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site_class.pb.h"

namespace sluice::crdgen {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;
using json = nlohmann::ordered_json;

// A file with one message, each of whose fields is documented as "About <name>.".
class Schema {
 public:
  Schema() {
    file_.set_name("test.proto");
    file_.set_syntax("proto3");
    Message("Thing");
  }

  DescriptorProto& Message(const std::string& name) {
    DescriptorProto* message = file_.add_message_type();
    message->set_name(name);
    Document({4, file_.message_type_size() - 1}, " About " + name + ".\n");
    return *message;
  }

  FieldDescriptorProto& Field(const std::string& name, FieldDescriptorProto::Type type,
                              bool documented = true) {
    const int message_index = file_.message_type_size() - 1;
    DescriptorProto* message = file_.mutable_message_type(message_index);
    FieldDescriptorProto* field = message->add_field();
    field->set_name(name);
    field->set_number(message->field_size());
    field->set_type(type);
    field->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
    if (documented) {
      Document({4, message_index, 2, message->field_size() - 1}, " About " + name + ".\n");
    }
    return *field;
  }

  static markers::FieldRules& Rules(FieldDescriptorProto& field) {
    return *field.mutable_options()->MutableExtension(markers::field);
  }

  const google::protobuf::Descriptor* Build() {
    const auto* file = pool_.BuildFile(file_);
    EXPECT_NE(file, nullptr);
    return file->message_type(0);
  }

  FileDescriptorProto& file() { return file_; }

 private:
  void Document(std::initializer_list<int> path, const std::string& text) {
    auto* location = file_.mutable_source_code_info()->add_location();
    for (const int step : path) location->add_path(step);
    for (int i = 0; i < 3; ++i) location->add_span(0);
    location->set_leading_comments(text);
  }

  DescriptorPool pool_;
  FileDescriptorProto file_;
};

std::string RefusalOf(Schema& schema) {
  const auto result = BuildSchema(schema.Build());
  EXPECT_FALSE(result.ok());
  return result.ok() ? "" : result.status().message();
}

TEST(Schema, CarriesTheMarkersOver) {
  Schema schema;
  auto& rules = Schema::Rules(schema.Field("op", FieldDescriptorProto::TYPE_STRING));
  rules.set_required(true);
  rules.add_values("lt");
  rules.add_values("gt");
  rules.set_default_json("\"lt\"");
  auto& number = schema.Field("wait_seconds", FieldDescriptorProto::TYPE_INT64);
  number.set_json_name("waitSeconds");
  Schema::Rules(number).set_minimum(0);
  const auto built = BuildSchema(schema.Build());
  ASSERT_TRUE(built.ok()) << built.status().message();
  EXPECT_EQ(*built, json::parse(R"({
    "type": "object",
    "properties": {
      "op": {"description": "About op.", "type": "string", "enum": ["lt", "gt"], "default": "lt"},
      "waitSeconds": {"description": "About wait_seconds.", "type": "integer", "format": "int64",
                      "minimum": 0}
    },
    "required": ["op"]
  })"));
}

TEST(Schema, MakesListMapsAndSets) {
  Schema schema;
  auto& list = schema.Field("items", FieldDescriptorProto::TYPE_MESSAGE);
  list.set_label(FieldDescriptorProto::LABEL_REPEATED);
  list.set_type_name(".Item");
  Schema::Rules(list).set_max_items(4);
  Schema::Rules(list).add_list_map_keys("name");
  auto& names = schema.Field("names", FieldDescriptorProto::TYPE_STRING);
  names.set_label(FieldDescriptorProto::LABEL_REPEATED);
  Schema::Rules(names).set_max_items(4);
  Schema::Rules(names).set_max_length(8);
  Schema::Rules(names).set_set(true);
  schema.Message("Item");
  Schema::Rules(schema.Field("name", FieldDescriptorProto::TYPE_STRING)).set_max_length(8);
  const auto built = BuildSchema(schema.Build());
  ASSERT_TRUE(built.ok()) << built.status().message();
  const json& properties = (*built)["properties"];
  EXPECT_EQ(properties["items"]["x-kubernetes-list-type"], "map");
  EXPECT_EQ(properties["items"]["x-kubernetes-list-map-keys"], json({"name"}));
  EXPECT_EQ(properties["items"]["items"]["properties"]["name"]["maxLength"], 8);
  EXPECT_EQ(properties["names"]["x-kubernetes-list-type"], "set");
}

TEST(Schema, AsksForExactlyOneMemberOfARequiredOneof) {
  Schema schema;
  for (const char* name : {"left", "right"}) {
    auto& field = schema.Field(name, FieldDescriptorProto::TYPE_STRING);
    Schema::Rules(field).set_max_length(8);
    field.set_oneof_index(0);
  }
  auto* oneof = schema.file().mutable_message_type(0)->add_oneof_decl();
  oneof->set_name("kind");
  oneof->mutable_options()->MutableExtension(markers::oneof)->set_required(true);
  const auto built = BuildSchema(schema.Build());
  ASSERT_TRUE(built.ok()) << built.status().message();
  const json& rule = (*built)["x-kubernetes-validations"][0];
  EXPECT_EQ(rule["rule"], "(has(self.left) ? 1 : 0) + (has(self.right) ? 1 : 0) == 1");
  EXPECT_EQ(rule["message"], "left, right: exactly one of them must be given");
}

TEST(Schema, RefusesAFieldWithoutDocumentation) {
  Schema schema;
  schema.Field("bare", FieldDescriptorProto::TYPE_INT32, false);
  EXPECT_EQ(RefusalOf(schema), "Thing.bare: has no comment; it is the user's documentation");
}

TEST(Schema, RefusesWhatJsonCannotCarryWithoutLoss) {
  Schema schema;
  schema.Field("ratio", FieldDescriptorProto::TYPE_DOUBLE);
  EXPECT_EQ(RefusalOf(schema),
            "Thing.ratio: type double has no loss-free form here; use string or int64");
}

TEST(Schema, RefusesWhatHasNoBound) {
  Schema text;
  text.Field("text", FieldDescriptorProto::TYPE_STRING);
  EXPECT_EQ(RefusalOf(text), "Thing.text: a string needs max_length, values or format");
  Schema list;
  list.Field("list", FieldDescriptorProto::TYPE_INT32)
      .set_label(FieldDescriptorProto::LABEL_REPEATED);
  EXPECT_EQ(RefusalOf(list), "Thing.list: a list needs max_items");
}

// A class's template becomes an objective by its name and nothing else (site/objects.cc), so the
// fields that are written twice must be the same twice: docs/adr/0222-slo-templates.md.
TEST(Schema, AnObjectiveAndItsTemplateSayTheSame) {
  const auto* objective = v1alpha1::ServiceLevelObjectiveSpec::descriptor();
  const auto* item = v1alpha1::SloTemplate::descriptor();
  // Messages name the field as users see it.
  const auto said = [](std::string text) {
    const std::string prefix = "sloTemplates.";
    for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  };
  EXPECT_EQ(objective->field_count(), item->field_count());
  EXPECT_EQ(said(item->options().DebugString()), objective->options().DebugString());
  for (int i = 0; i < item->field_count(); ++i) {
    const auto* field = item->field(i);
    if (field->name() == "name") continue;  // where the objective has its subject
    const auto* other = objective->FindFieldByName(field->name());
    ASSERT_NE(other, nullptr) << field->name();
    EXPECT_EQ(field->number(), other->number()) << field->name();
    google::protobuf::FieldDescriptorProto ours, theirs;
    field->CopyTo(&ours);
    other->CopyTo(&theirs);
    if (field->is_map()) {  // each has an entry type of its own
      ours.clear_type_name();
      theirs.clear_type_name();
    }
    EXPECT_EQ(said(ours.DebugString()), said(theirs.DebugString()));
  }
}

TEST(Crd, RefusesMoreColumnsThanFit) {
  Schema schema;
  schema.Field("spec", FieldDescriptorProto::TYPE_INT32);
  schema.Field("status", FieldDescriptorProto::TYPE_INT32);
  auto* kind =
      schema.file().mutable_message_type(0)->mutable_options()->MutableExtension(markers::kind);
  kind->set_plural("things");
  for (int i = 0; i < kMaxColumns; ++i) kind->add_columns()->set_name("c");
  const auto fits = BuildCrd(schema.Build());
  ASSERT_TRUE(fits.ok()) << fits.status().message();
  EXPECT_EQ((*fits)["metadata"]["name"], "things.sluice.dev");
  EXPECT_EQ((*fits)["spec"]["versions"][0]["subresources"]["status"], json::object());

  Schema wide;
  wide.file().CopyFrom(schema.file());
  wide.file()
      .mutable_message_type(0)
      ->mutable_options()
      ->MutableExtension(markers::kind)
      ->add_columns()
      ->set_name("c");
  EXPECT_EQ(BuildCrd(wide.Build()).status().message(),
            "Thing: 7 printer columns, at most 6 fit a terminal");
}

TEST(Yaml, QuotesWhateverCouldBeReadAsSomethingElse) {
  EXPECT_EQ(WriteYaml(json{{"a", "plain"},
                           {"b", "on"},
                           {"c", "1.5"},
                           {"d", "x: y"},
                           {"e", ""},
                           {"f", "No"},
                           {"g", "say \"hi\""}}),
            "a: plain\nb: \"on\"\nc: \"1.5\"\nd: \"x: y\"\ne: \"\"\nf: \"No\"\n"
            "g: \"say \\\"hi\\\"\"\n");
}

TEST(Yaml, IndentsListsOfObjectsAndKeepsTheOrder) {
  EXPECT_EQ(WriteYaml(json{{"z", {{{"b", 1}, {"a", {1, true}}}, json::object()}}, {"w", nullptr}}),
            "z:\n  - b: 1\n    a:\n      - 1\n      - true\n  - {}\nw: null\n");
}

}  // namespace
}  // namespace sluice::crdgen
