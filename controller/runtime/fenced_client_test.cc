#include "controller/runtime/fenced_client.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/client/status_text.h"
#include "controller/testing/fake_api.h"

namespace sluice::runtime {
namespace {

using nlohmann::json;

const meta::Resource kWidgets{"example.com", "v1", "Widget", "widgets", true};
constexpr char kStatus[] = R"({"apiVersion":"example.com/v1","kind":"Widget",
    "metadata":{"name":"a","namespace":"ns"},"status":{"size":3}})";

TEST(FencedClient, AStatusAsTextIsWrittenAndToldOnlyByWhoLeads) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  api.Put(kWidgets, {{"metadata", {{"namespace", "ns"}, {"name", "a"}}}});
  bool leads = false;
  std::string told;
  const auto fenced = NewFencedClient(
      api, [&] { return leads; },
      [&](const meta::Resource&, const meta::Object& object) { told = object.name(); });
  const auto write = [&](const char* text) {
    return client::ApplyStatusText(*fenced, kWidgets, {"ns", "a"}, text, {.field_manager = "m"});
  };
  EXPECT_EQ(write(kStatus).status().reason(), "NotLeading");
  EXPECT_EQ(api.writes(), 0);
  EXPECT_EQ(told, "");
  leads = true;
  const auto written = write(kStatus);
  ASSERT_TRUE(written.ok()) << written.status().ToString();
  EXPECT_EQ(told, "a");
  EXPECT_EQ(api.Look(kWidgets, {"ns", "a"})["status"]["size"], 3);
  EXPECT_EQ(write("{").status().code(), base::Code::kInvalidArgument);
}

TEST(FencedClient, RefusesEveryWriteOfWhoDoesNotLead) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  api.Put(kWidgets, {{"metadata", {{"namespace", "ns"}, {"name", "a"}}}});
  const auto fenced = NewFencedClient(
      api, [] { return false; }, nullptr);
  const json object = json::parse(kStatus);
  const meta::Key key{"ns", "a"};
  const client::ApplyOptions as{.field_manager = "m"};
  const std::vector<std::pair<const char*, base::Status>> answers = {
      {"create", fenced->Create(kWidgets, object).status()},
      {"update", fenced->Update(kWidgets, object).status()},
      {"apply", fenced->Apply(kWidgets, object, as).status()},
      {"patch", fenced->Patch(kWidgets, key, client::PatchType::kMerge, object).status()},
      {"delete", fenced->Delete(kWidgets, key)},
      {"apply status", fenced->ApplyStatus(kWidgets, object, as).status()},
      {"update status", fenced->UpdateStatus(kWidgets, object).status()}};
  for (const auto& [what, answer] : answers) EXPECT_EQ(answer.reason(), "NotLeading") << what;
  EXPECT_EQ(api.writes(), 0);
  EXPECT_TRUE(fenced->Get(kWidgets, key).ok()) << "reads go through";
}

}  // namespace
}  // namespace sluice::runtime
