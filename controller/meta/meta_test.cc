#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "controller/meta/json_scanner.h"
#include "controller/meta/names.h"
#include "controller/meta/object.h"
#include "controller/meta/owner.h"
#include "controller/meta/quantity.h"
#include "controller/meta/selector.h"
#include "controller/meta/semantic.h"

namespace sluice::meta {
namespace {

using nlohmann::json;

constexpr std::string_view kSite = R"({"apiVersion":"sluice.dev/v1alpha1","kind":"Site","metadata":{
"annotations":{"note":"a\"b"},"creationTimestamp":"2026-01-01T00:00:00Z","finalizers":["x/y"],
"generation":7,"labels":{"tier":"gold"},"managedFields":[{"manager":"m","fieldsV1":{"f:spec":{}}}],
"name":"phoenix","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d","uid":"u2",
"controller":true}],"resourceVersion":"41","uid":"u1"},"spec":{"big":9223372036854775807,"odd":{"k":[1,2.50]}}})";

ObjectPtr Parsed(std::string_view text) {
  auto object = Object::Parse(text);
  SLUICE_CHECK(object.ok());
  return *object;
}

TEST(Object, KnowsItsIdentity) {
  const ObjectPtr site = Parsed(kSite);
  EXPECT_EQ(site->name(), "phoenix");
  EXPECT_EQ(site->ns(), "");
  EXPECT_EQ(site->uid(), "u1");
  EXPECT_EQ(site->resource_version(), "41");
  EXPECT_EQ(site->generation(), 7);
  EXPECT_FALSE(site->deleting());
  EXPECT_EQ(site->Label("tier"), "gold");
  EXPECT_EQ(site->Label("none"), std::nullopt);
  EXPECT_EQ(site->Annotation("note"), "a\"b");
  EXPECT_TRUE(site->HasFinalizer("x/y"));
  EXPECT_FALSE(site->HasFinalizer("x"));
}

TEST(Object, LosesManagedFieldsAndNothingElse) {
  json whole = json::parse(kSite);
  whole["metadata"].erase("managedFields");
  const ObjectPtr site = Parsed(kSite);
  EXPECT_EQ(site->ToJson(), whole);
  EXPECT_NE(site->json().find("9223372036854775807"), std::string_view::npos);
  EXPECT_NE(site->json().find("2.50"), std::string_view::npos) << "numbers stay as written";
}

TEST(Object, ManagedFieldsAreCutWhereverTheyStand) {
  for (const char* metadata :
       {R"({"managedFields":[1],"name":"n"})", R"({"name":"n","managedFields":[1]})",
        R"({ "managedFields" : [ 1 ] , "name":"n" })",
        R"({"uid":"u" , "managedFields":[1],"name":"n"})"}) {
    const ObjectPtr object = Parsed(std::string(R"({"metadata":)") + metadata + R"(,"z":1})");
    json want = {{"metadata", json::parse(metadata)}, {"z", 1}};
    want["metadata"].erase("managedFields");
    EXPECT_EQ(object->ToJson(), want) << metadata;
    EXPECT_EQ(object->name(), "n");
    EXPECT_EQ(json::parse(object->metadata_json()), want["metadata"]);
  }
}

TEST(Object, EscapedIdentityIsDecoded) {
  const ObjectPtr object =
      Parsed(R"({"metadata":{"name":"\u0061\ud83d\ude00b","namespace":"n","uid":"\n"}})");
  EXPECT_EQ(object->name(),
            "a\xF0\x9F\x98\x80"
            "b");
  EXPECT_EQ(object->ns(), "n");
  EXPECT_EQ(object->uid(), "\n");
}

TEST(Object, ItemsOfAListGetTheirKind) {
  const Resource pods{"", "v1", "Pod", "pods", true};
  const auto pod = Object::ParseAs(pods, R"({"metadata":{"name":"p","managedFields":[]}})");
  ASSERT_TRUE(pod.ok());
  EXPECT_EQ((*pod)->ToJson(),
            json::parse(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"}})"));
  EXPECT_EQ((*pod)->name(), "p");
  const auto same = Object::ParseAs(pods, (*pod)->json());
  EXPECT_EQ((*same)->json(), (*pod)->json());
}

TEST(Object, RefusesWhatIsNotAnObject) {
  for (const char* text :
       {"", "null", "[]", "{", R"({"metadata":{}})", R"({"metadata":{"name":""}})",
        R"({"metadata":{"name":"a"}}x)", R"({"metadata":{"name":"a"},"x":01})",
        R"({"metadata":{"name":"a"},"x":"\ud800"})",
        "{\"metadata\":{\"name\":\"a\"},\"x\":\"\xff\"}", R"({"metadata":{"name":"a"},"x":1e999})",
        R"({"metadata":{"name":"a"},})", "{\"metadata\":{\"name\":\"a\nb\"}}"}) {
    EXPECT_FALSE(Object::Parse(text).ok()) << text;
  }
  const std::string deep(10000, '[');
  EXPECT_FALSE(Object::Parse(R"({"metadata":{"name":"a"},"x":)" + deep).ok());
}

TEST(Object, TwoMetadataMembersAreReadLikeTheLast) {
  const ObjectPtr object = Parsed(
      R"({"metadata":{"managedFields":[1,2,3,4,5,6,7],"name":"first","uid":"u"},"metadata":{"name":"second"}})");
  EXPECT_EQ(object->name(), "second");
  EXPECT_EQ(object->uid(), "");
  EXPECT_EQ(object->metadata_json(), R"({"name":"second"})");
}

TEST(Object, SpecAndStatusAreFoundWhereverTheyStand) {
  const std::string metadata = R"("metadata":{"managedFields":[1,2],"name":"n"})";
  const std::string spec = R"("spec" : {"a":[{}]})";
  const std::string status = R"("status":{"spec":1})";
  for (const std::string& text :
       {metadata + "," + spec + "," + status, spec + "," + metadata + " , " + status,
        status + "," + spec + " ," + metadata}) {
    const ObjectPtr object = Parsed("{" + text + "}");
    EXPECT_EQ(object->metadata_json(), R"({"name":"n"})") << text;
    EXPECT_EQ(object->spec_json(), R"({"a":[{}]})") << text;
    EXPECT_EQ(object->status_json(), R"({"spec":1})") << text;
  }
}

TEST(Object, OfTwoSpecsTheLastCountsAndAnEscapedNameIsTheName) {
  const ObjectPtr object = Parsed(
      R"({"spec":1,"metadata":{"name":"a"},"status":null,"metadata":{"name":"n"},"\u0073pec":[2]})");
  EXPECT_EQ(object->name(), "n");
  EXPECT_EQ(object->spec_json(), "[2]");
  EXPECT_EQ(object->status_json(), "null");
}

TEST(Object, WithoutSpecAndStatusTheirTextsAreEmpty) {
  const ObjectPtr object = Parsed(R"({"metadata":{"name":"n"}})");
  EXPECT_EQ(object->spec_json(), "");
  EXPECT_EQ(object->status_json(), "");
}

TEST(Object, CostsItsJsonAndASmallConstant) {
  const ObjectPtr site = Parsed(kSite);
  EXPECT_LE(site->memory_bytes(), site->json().size() + 150);
}

TEST(Object, JsonThatIsNotUtf8IsRefused) {
  EXPECT_FALSE(Object::FromJson(json{{"metadata", {{"name", "\xff"}}}}).ok());
  EXPECT_TRUE(Object::FromJson(json{{"metadata", {{"name", "a"}}}}).ok());
}

TEST(JsonScanner, AgreesWithNlohmannOnStringsOfEveryLength) {
  for (std::size_t size = 0; size < 70; ++size) {
    for (const std::string_view special : {"", "\\n", "\\\"", "\xC3\xA9", "\\u20ac"}) {
      const std::string text =
          "\"" + std::string(size, 'a') + std::string(special) + std::string(size % 17, 'b') + "\"";
      JsonScanner scanner(text);
      JsonString value;
      ASSERT_TRUE(scanner.ReadString(&value) && scanner.AtEnd()) << text;
      EXPECT_EQ(value.Decode(), json::parse(text).get<std::string>());
      JsonScanner cut(std::string_view(text).substr(0, text.size() - 1));
      EXPECT_FALSE(cut.SkipValue());
    }
  }
}

TEST(JsonScanner, ReadsIntegersOfEveryLengthAndNothingElse) {
  const auto read = [](const std::string& number,
                       const char* after) -> std::optional<std::int64_t> {
    const std::string text = "[" + number + after;
    JsonScanner scanner(text);
    std::int64_t value = -1;
    if (!scanner.Elements([&] { return scanner.ReadInt64(&value); })) return std::nullopt;
    return value;
  };
  for (const char* after : {"]", " ]", "\n]"}) {
    for (int digits = 1; digits <= 19; ++digits) {
      for (const char* sign : {"", "-"}) {
        const std::string number = sign + std::string("9223372036854775807").substr(0, digits);
        EXPECT_EQ(read(number, after), std::stoll(number)) << number;
      }
    }
    EXPECT_EQ(read("0", after), 0);
    EXPECT_EQ(read("-0", after), 0);
    EXPECT_EQ(read("-9223372036854775808", after), std::numeric_limits<std::int64_t>::min());
    for (const char* wrong :
         {"-", "00", "01", "-01", "1.0", "1e3", "1E3", "+1", "\"1\"", "1x", "9223372036854775808",
          "99999999999999999999", "123456789012345678.5"}) {
      EXPECT_EQ(read(wrong, after), std::nullopt) << wrong;
    }
  }
  EXPECT_EQ(read("1", ""), std::nullopt) << "the array has no end";
  JsonScanner alone("12");
  std::int64_t value = 0;
  EXPECT_TRUE(alone.ReadInt64(&value) && alone.AtEnd());
  EXPECT_EQ(value, 12);
}

TEST(JsonScanner, FindsTheLastMemberOfAName) {
  EXPECT_EQ(FindMember(R"({"a":1,"b":[2],"a":3})", "a"), "3");
  EXPECT_EQ(FindMember(R"({"a":1)", "a"), "");
  EXPECT_EQ(StringMember(R"({"a":"x\ty"})", "a"), "x\ty");
  EXPECT_EQ(StringMember(R"({"a":1})", "a"), "");
}

TEST(Owners, AreReadAndTheControllerIsTold) {
  const ObjectPtr site = Parsed(kSite);
  ASSERT_EQ(OwnersOf(*site).size(), 1u);
  const auto owner = ControllerOf(*site);
  ASSERT_TRUE(owner.has_value());
  EXPECT_EQ(owner->uid, "u2");
  EXPECT_TRUE(owner->RefersTo({"apps", "v1", "DaemonSet", "daemonsets", true}));
  EXPECT_TRUE(owner->RefersTo({"apps", "v1beta9", "DaemonSet", "daemonsets", true}));
  EXPECT_FALSE(owner->RefersTo({"", "v1", "DaemonSet", "daemonsets", true}));
  const json made = MakeControllerReference({"sluice.dev", "v1", "Site", "sites", false}, *site);
  EXPECT_EQ(made["name"], "phoenix");
  EXPECT_EQ(made["controller"], true);
}

TEST(Quantity, OneAmountHasManySpellings) {
  for (const auto& [a, b] : std::vector<std::pair<const char*, const char*>>{
           {"1", "1000m"},
           {"1Ki", "1024"},
           {"1.5Gi", "1610612736"},
           {"1e3", "1k"},
           {"1E3", "1k"},
           {"1E", "1e18"},
           {"0.5", "500m"},
           {"100n", "0.1u"},
           {"-1", "-1000m"},
           {"+5", "5"},
           {"1.", "1"},
           {".5", "0.5"},
           {"1000000M", "1T"},
           {"0.0000000001", "1n"},
           {"9Ei", "9223372036854775807"},
           {"1e400", "8Ei"},
           {"0e400", "0"},
           {"1e-400", "1n"},
           {"00012", "12"},
           {"0.1Ki", "102.4"},
           {"1e+2", "100"},
           {"0.000000000000000001Ei", "1.152921505"}}) {
    EXPECT_EQ(*Quantity::Parse(a), *Quantity::Parse(b)) << a << " and " << b;
  }
  EXPECT_NE(*Quantity::Parse("1"), *Quantity::Parse("1001m"));
}

TEST(Quantity, RoundsUpLikeKubernetes) {
  EXPECT_EQ(Quantity::Parse("1.1")->CeilValue(), 2);
  EXPECT_EQ(Quantity::Parse("-1.1")->CeilValue(), -1);
  EXPECT_EQ(Quantity::Parse("1u")->CeilValue(), 1);
  EXPECT_EQ(Quantity::Parse("8Ei")->CeilValue(), INT64_MAX);
  EXPECT_EQ(Quantity::Parse("9223372036854775807.0000000001")->CeilValue(), INT64_MAX);
  EXPECT_EQ(Quantity::Parse("-9223372036854775807.0000000001")->CeilValue(), -INT64_MAX);
  EXPECT_LT(*Quantity::Parse("999m"), Quantity::FromInt(1));
}

TEST(Quantity, RefusesEverythingElse) {
  for (const char* text : {"", " ", "1 ", "abc", "1.1.1", ".", "-", "1KB", "1i", "Ki", "1e", "1ee3",
                           "1e+-3", "0x1", "1,0", "1Kii", "--1", "1e99999999999999999999"}) {
    EXPECT_FALSE(Quantity::Parse(text).ok()) << text;
  }
}

TEST(Selector, MatchesLikeKubernetes) {
  const auto matches = [](const char* text, std::map<std::string, std::string> labels) {
    const auto selector = Selector::Parse(text);
    EXPECT_TRUE(selector.ok()) << text << " " << selector.status().ToString();
    return selector->Matches([&](std::string_view key) -> std::optional<std::string> {
      const auto found = labels.find(std::string(key));
      return found == labels.end() ? std::nullopt : std::optional(found->second);
    });
  };
  EXPECT_TRUE(matches("", {}));
  EXPECT_TRUE(matches("a=b", {{"a", "b"}}));
  EXPECT_TRUE(matches(" a == b , c in (d, e) , !f ", {{"a", "b"}, {"c", "e"}}));
  EXPECT_FALSE(matches("a=b,!f", {{"a", "b"}, {"f", ""}}));
  EXPECT_TRUE(matches("a!=b", {})) << "a missing label is not equal";
  EXPECT_TRUE(matches("a notin (b,c)", {{"a", "d"}}));
  EXPECT_FALSE(matches("a notin (b,c)", {{"a", "c"}}));
  EXPECT_TRUE(matches("a", {{"a", ""}}));
  EXPECT_TRUE(matches("a=", {{"a", ""}}));
  EXPECT_TRUE(matches("x.io/a in (,b)", {{"x.io/a", ""}}));
  EXPECT_TRUE(matches("in in (in)", {{"in", "in"}}));
}

TEST(Selector, RefusesBadTextAndPrintsWhatItParsed) {
  for (const char* text : {",", "a=b,", "a in b", "a in (b", "=b", "!", "a b", "-a=b", "a=b c",
                           "a=b/c", "a/b/c=d", "!a=b"}) {
    EXPECT_FALSE(Selector::Parse(text).ok()) << text;
  }
  for (const char* text : {"", "a=b", "a!=b,!c,d", "a in (b,c),e notin (f,g)", "a="}) {
    EXPECT_EQ(Selector::Parse(text)->ToString(), text);
  }
}

TEST(Selector, ReadsTheObjectForm) {
  const auto selector = Selector::FromJson(json::parse(
      R"({"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"In","values":["e","d"]},
          {"key":"f","operator":"DoesNotExist"}]})"));
  ASSERT_TRUE(selector.ok());
  EXPECT_EQ(selector->ToString(), "a=b,c in (d,e),!f");
  EXPECT_TRUE(Selector::FromJson(json())->empty());
  for (const char* text :
       {R"({"matchExpressions":[{"key":"c","operator":"In"}]})",
        R"({"matchExpressions":[{"key":"c","operator":"Exists","values":["x"]}]})",
        R"({"matchExpressions":[{"key":"c","operator":"Like"}]})", R"({"matchLabels":{"a":1}})",
        R"({"matchLabels":3})", R"([1])"}) {
    EXPECT_FALSE(Selector::FromJson(json::parse(text)).ok()) << text;
  }
}

TEST(Names, FollowTheRulesOfTheServer) {
  EXPECT_TRUE(CheckDns1123Subdomain("a.b-c.1").ok());
  EXPECT_TRUE(CheckQualifiedName("sluice.dev/Node_1.x").ok());
  EXPECT_TRUE(CheckLabelValue("").ok());
  for (const char* text : {"", "A", "-a", "a-", "a..b", "a_b"}) {
    EXPECT_FALSE(CheckDns1123Subdomain(text).ok()) << text;
  }
  EXPECT_FALSE(CheckDns1123Subdomain(std::string(254, 'a')).ok());
  EXPECT_FALSE(CheckQualifiedName("a/").ok());
  EXPECT_FALSE(CheckLabelValue("a b").ok());
}

TEST(Semantic, ContainsComparesByWhatIsWanted) {
  const json live = json::parse(
      R"({"spec":{"containers":[{"name":"a","image":"i","pullPolicy":"Always"},{"name":"b"}],"args":["x","y"],"r":1}})");
  EXPECT_TRUE(Contains(live, json::parse(R"({"spec":{"containers":[{"name":"a","image":"i"}]}})")));
  EXPECT_TRUE(Contains(live, json::parse(R"({"spec":{"args":["x","y"],"none":null}})")));
  EXPECT_FALSE(Contains(live, json::parse(R"({"spec":{"args":["x"]}})")));
  EXPECT_FALSE(
      Contains(live, json::parse(R"({"spec":{"containers":[{"name":"a","image":"j"}]}})")));
  EXPECT_FALSE(Contains(live, json::parse(R"({"spec":{"s":{}}})"))) << "emptyDir: {} is something";
  EXPECT_FALSE(Contains(json(9007199254740993), json(9007199254740992)));
}

TEST(Semantic, ListsMergedByAKeyOfTheCallersKindMayHoldOthersEntries) {
  const json live =
      json::parse(R"({"blockedBy":[{"gate":"soak"},{"gate":"nodes","cause":"NoNodes"}]})");
  const json ours = json::parse(R"({"blockedBy":[{"gate":"nodes","cause":"NoNodes"}]})");
  constexpr std::string_view kGate[] = {"gate"};
  EXPECT_FALSE(Contains(live, ours)) << "a list without a known key is one value";
  EXPECT_TRUE(Contains(live, ours, kGate));
  EXPECT_FALSE(Contains(live, json::parse(R"({"blockedBy":[{"gate":"agents"}]})"), kGate));
}

}  // namespace
}  // namespace sluice::meta
