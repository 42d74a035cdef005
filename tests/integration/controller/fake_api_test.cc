// The API in memory (controller/testing/fake_api.h) beside a real API server: one table of what
// unit tests rely on, held to both. What only the real one does (validation, defaults, conflicts of
// field managers) is not here, and no unit test may rely on its absence.
#include "tests/integration/controller/fake_api_contract.h"

namespace sluice::testing_kit {
namespace {

const meta::Resource kLeases{"coordination.k8s.io", "v1", "Lease", "leases", true};

INSTANTIATE_TEST_SUITE_P(Of, Contract, ::testing::Values(Which::kFake, Which::kReal),
                         [](const auto& each) {
                           return each.param == Which::kFake ? "TheFake" : "TheRealOne";
                         });

TEST_P(Contract, WhatIsNotThereIsNotFound) {
  const json thing = Thing("gone");
  ExpectRefused(api_->Get(kThings, Key("gone")).status(), Code::kNotFound, "NotFound");
  ExpectRefused(api_->Delete(kThings, Key("gone")), Code::kNotFound, "NotFound");
  ExpectRefused(api_->Patch(kThings, Key("gone"), client::PatchType::kMerge, thing).status(),
                Code::kNotFound, "NotFound");
  ExpectRefused(api_->ApplyStatus(kThings, thing, {.field_manager = "a"}).status(), Code::kNotFound,
                "NotFound");
  json versioned = thing;
  versioned["metadata"]["resourceVersion"] = "7";
  ExpectRefused(api_->Update(kThings, versioned).status(), Code::kNotFound, "NotFound");
  ExpectRefused(api_->UpdateStatus(kThings, versioned).status(), Code::kNotFound, "NotFound");
}

TEST_P(Contract, ACreatedObjectHasItsIdentityAndIsMadeOnce) {
  json thing = Thing("made");
  thing["status"] = {{"phase", "mine"}};
  const auto made = Make(thing)->ToJson();
  EXPECT_FALSE(made["metadata"]["uid"].get<std::string>().empty());
  EXPECT_FALSE(made["metadata"]["creationTimestamp"].get<std::string>().empty());
  EXPECT_EQ(Generation(made), 1);
  EXPECT_GT(Version(made), 0);
  EXPECT_FALSE(made.contains("status")) << "a status is written by its own calls alone";
  EXPECT_EQ(Now("made"), made);
  ExpectRefused(api_->Create(kThings, thing).status(), Code::kAlreadyExists, "AlreadyExists");
  ASSERT_THAT(api_->Delete(kThings, Key("made")), IsOk());
  EXPECT_NE(Make(thing)->ToJson()["metadata"]["uid"], made["metadata"]["uid"]);
}

TEST_P(Contract, AnUpdateNeedsTheVersionThatIsThere) {
  json thing = Make(Thing("u"))->ToJson();
  const std::int64_t first = Version(thing);
  thing["spec"]["size"] = 2;
  json stale = thing;
  ASSERT_THAT(api_->Update(kThings, thing), IsOk());
  ExpectRefused(api_->Update(kThings, stale).status(), Code::kAborted, "Conflict");
  ExpectRefused(api_->UpdateStatus(kThings, stale).status(), Code::kAborted, "Conflict");
  const json now = Now("u");
  EXPECT_EQ(now["spec"]["size"], 2);
  EXPECT_GT(Version(now), first);
  json other = now;
  other["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000";
  ExpectRefused(api_->Update(kThings, other).status(), Code::kAborted, "Conflict");
}

TEST_P(Contract, AnUpdateWithoutAVersionIsRefused) {
  Make(Thing("u"));
  ExpectRefused(api_->Update(kThings, Thing("u")).status(), Code::kInvalidArgument, "Invalid");
  ExpectRefused(api_->UpdateStatus(kThings, Thing("u")).status(), Code::kInvalidArgument,
                "Invalid");
}

TEST_P(Contract, TheGenerationCountsChangesOfTheSpecAlone) {
  json thing = Make(Thing("g"))->ToJson();
  thing["metadata"]["labels"]["a"] = "b";
  thing = api_->Update(kThings, thing).value()->ToJson();
  EXPECT_EQ(Generation(thing), 1);
  thing["status"] = {{"ok", true}};
  thing = api_->UpdateStatus(kThings, thing).value()->ToJson();
  EXPECT_EQ(Generation(thing), 1);
  EXPECT_EQ(thing["status"], json({{"ok", true}}));
  thing["spec"]["size"] = 2;
  thing = api_->Update(kThings, thing).value()->ToJson();
  EXPECT_EQ(Generation(thing), 2);
}

TEST_P(Contract, AWriteThatChangesNothingLeavesTheVersion) {
  ASSERT_THAT(api_->Apply(kThings, Thing("n"), {.field_manager = "a"}), IsOk());
  json status = Thing("n");
  status.erase("spec");
  status["status"] = {{"ok", true}};
  ASSERT_THAT(api_->ApplyStatus(kThings, status, {.field_manager = "a"}), IsOk());
  const json now = Now("n");
  EXPECT_THAT(api_->Update(kThings, now), IsOk());
  EXPECT_THAT(api_->UpdateStatus(kThings, now), IsOk());
  EXPECT_THAT(api_->Apply(kThings, Thing("n"), {.field_manager = "a"}), IsOk());
  EXPECT_THAT(api_->ApplyStatus(kThings, status, {.field_manager = "a"}), IsOk());
  EXPECT_THAT(api_->Patch(kThings, Key("n"), client::PatchType::kMerge, {{"spec", {{"size", 1}}}}),
              IsOk());
  EXPECT_EQ(Now("n"), now);
}

TEST_P(Contract, SpecAndStatusAreWrittenApart) {
  json thing = Make(Thing("s"))->ToJson();
  thing["status"] = {{"phase", "told"}};
  thing["spec"]["size"] = 2;
  thing = api_->UpdateStatus(kThings, thing).value()->ToJson();
  EXPECT_EQ(thing["spec"]["size"], 1);
  thing["status"] = {{"phase", "other"}};
  thing["spec"]["size"] = 3;
  thing = api_->Update(kThings, thing).value()->ToJson();
  EXPECT_EQ(thing["status"]["phase"], "told");
  EXPECT_EQ(thing["spec"]["size"], 3);
  const json both = {{"spec", {{"size", 4}}}, {"status", {{"phase", "patched"}}}};
  thing = api_->Patch(kThings, Key("s"), client::PatchType::kMerge, both).value()->ToJson();
  EXPECT_EQ(thing["status"]["phase"], "told");
  EXPECT_EQ(thing["spec"]["size"], 4);
  json applied = Thing("s", {{"shape", "round"}});
  applied["status"] = {{"phase", "applied"}};
  thing = api_->Apply(kThings, applied, {.field_manager = "a"}).value()->ToJson();
  EXPECT_EQ(thing["status"]["phase"], "told");
  applied["spec"]["shape"] = "square";
  thing =
      api_->ApplyStatus(kThings, applied, {.field_manager = "a", .force = true}).value()->ToJson();
  EXPECT_EQ(thing["status"]["phase"], "applied");
  EXPECT_EQ(thing["spec"]["shape"], "round");
}

TEST_P(Contract, AnApplyMakesAddsAndGivesUpItsOwnFields) {
  const client::ApplyOptions ours{.field_manager = "ours"};
  json first = Thing("a", {{"size", 1}});
  first["metadata"]["labels"] = {{"one", "1"}, {"two", "2"}};
  ASSERT_THAT(api_->Apply(kThings, first, ours), IsOk());
  json theirs = Thing("a", {{"theirs", 7}});
  theirs["metadata"]["labels"] = {{"three", "3"}};
  ASSERT_THAT(api_->Apply(kThings, theirs, {.field_manager = "theirs"}), IsOk());
  json second = Thing("a", {{"size", 2}});
  second["metadata"]["labels"] = {{"two", "2"}};
  ASSERT_THAT(api_->Apply(kThings, second, ours), IsOk());
  const json now = Now("a");
  EXPECT_EQ(now["spec"], json({{"size", 2}, {"theirs", 7}}));
  EXPECT_EQ(now["metadata"]["labels"], json({{"two", "2"}, {"three", "3"}}));
  const auto tried = api_->Apply(kThings, Thing("dry"), {.field_manager = "ours", .dry_run = true});
  EXPECT_THAT(tried, IsOk());
  ExpectRefused(api_->Get(kThings, Key("dry")).status(), Code::kNotFound, "NotFound");
}

TEST_P(Contract, AnAppliedVersionIsAPreconditionAndAnAppliedUidOfTheSpecAlone) {
  const std::string kOther = "00000000-0000-0000-0000-000000000000";
  const auto made = Make(Thing("p"));
  const client::ApplyOptions force{.field_manager = "a", .force = true};
  const auto with = [&](const char* field, const std::string& value) {
    json thing = Thing("p", {{"size", 2}});
    thing["status"] = {{"ok", value}};
    thing["metadata"][field] = value;
    return thing;
  };
  const auto apply = [&](const json& thing) { return api_->Apply(kThings, thing, force).status(); };
  const auto tell = [&](const json& thing) {
    return api_->ApplyStatus(kThings, thing, force).status();
  };
  ExpectRefused(apply(with("resourceVersion", "1")), Code::kAborted, "Conflict");
  ExpectRefused(tell(with("resourceVersion", "1")), Code::kAborted, "Conflict");
  ExpectRefused(apply(with("uid", kOther)), Code::kInvalidArgument, "Invalid");
  EXPECT_THAT(apply(with("uid", std::string(made->uid()))), IsOk());
  EXPECT_THAT(apply(with("resourceVersion", Now("p")["metadata"]["resourceVersion"])), IsOk());
  EXPECT_THAT(tell(with("resourceVersion", Now("p")["metadata"]["resourceVersion"])), IsOk());
  // Nobody is told: a status reaches whatever has the name now.
  const auto told = api_->ApplyStatus(kThings, with("uid", kOther), force);
  ASSERT_THAT(told, IsOk());
  EXPECT_EQ((*told)->uid(), made->uid());
  EXPECT_EQ((*told)->ToJson()["status"]["ok"], kOther);
  // An object that is gone is not made anew for whoever names the old one's uid; its version is
  // compared with nothing then.
  json gone = Thing("p-gone");
  gone["metadata"]["uid"] = kOther;
  ExpectRefused(apply(gone), Code::kAborted, "Conflict");
  gone = Thing("p-gone");
  gone["metadata"]["resourceVersion"] = "1";
  EXPECT_THAT(apply(gone), IsOk());
}

TEST_P(Contract, ADeleteHoldsToItsPreconditions) {
  const auto made = Make(Thing("d"));
  const std::string first(made->resource_version());
  json thing = made->ToJson();
  thing["spec"]["size"] = 2;
  ASSERT_THAT(api_->Update(kThings, thing), IsOk());
  ExpectRefused(api_->Delete(kThings, Key("d"), {.preconditions = {.resource_version = first}}),
                Code::kAborted, "Conflict");
  ExpectRefused(api_->Delete(kThings, Key("d"),
                             {.preconditions = {.uid = "00000000-0000-0000-0000-000000000000"}}),
                Code::kAborted, "Conflict");
  EXPECT_THAT(api_->Delete(kThings, Key("d"), {.preconditions = {.uid = std::string(made->uid())}}),
              IsOk());
  ExpectRefused(api_->Get(kThings, Key("d")).status(), Code::kNotFound, "NotFound");
}

TEST_P(Contract, AFinalizerHoldsADeletedObjectAndNoneIsAddedThen) {
  json thing = Thing("f");
  thing["metadata"]["finalizers"] = {"test.sluice.dev/hold"};
  const auto made = Make(thing);
  ASSERT_THAT(api_->Delete(kThings, Key("f")), IsOk());
  const json held = Now("f");
  EXPECT_TRUE(held["metadata"].contains("deletionTimestamp"));
  EXPECT_EQ(Generation(held), 2);
  EXPECT_GT(Version(held), Version(made->ToJson()));
  EXPECT_THAT(api_->Delete(kThings, Key("f")), IsOk()) << "twice does no harm";
  EXPECT_EQ(Now("f"), held);
  json more = held;
  more["metadata"]["finalizers"].push_back("test.sluice.dev/more");
  ExpectRefused(api_->Update(kThings, more).status(), Code::kInvalidArgument, "Invalid");
  ExpectRefused(api_->Create(kThings, thing).status(), Code::kAlreadyExists, "AlreadyExists");
  json freed = held;
  freed["metadata"].erase("finalizers");
  EXPECT_THAT(api_->Update(kThings, freed), IsOk());
  ExpectRefused(api_->Get(kThings, Key("f")).status(), Code::kNotFound, "NotFound");
}

TEST_P(Contract, PatchesMergeOrFollowTheirSteps) {
  Make(Thing("p", {{"size", 1}, {"shape", "round"}}));
  auto answer = api_->Patch(kThings, Key("p"), client::PatchType::kMerge,
                            {{"spec", {{"shape", nullptr}, {"size", 2}}}});
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ((*answer)->ToJson()["spec"], json({{"size", 2}}));
  const auto steps = json::parse(R"([{"op":"test","path":"/spec/size","value":2},
                                     {"op":"add","path":"/spec/color","value":"red"}])");
  answer = api_->Patch(kThings, Key("p"), client::PatchType::kJson, steps);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ((*answer)->ToJson()["spec"], json({{"size", 2}, {"color", "red"}}));
  auto failing = steps;
  failing[0]["value"] = 3;
  ExpectRefused(api_->Patch(kThings, Key("p"), client::PatchType::kJson, failing).status(),
                Code::kInvalidArgument, "Invalid");
  const json stale = {{"metadata", {{"resourceVersion", "1"}}}, {"spec", {{"size", 9}}}};
  ExpectRefused(api_->Patch(kThings, Key("p"), client::PatchType::kMerge, stale).status(),
                Code::kAborted, "Conflict");
}

// What the Elector's compare-and-swap stands on.
TEST_P(Contract, ALeaseIsTakenByOneOfTwo) {
  const json lease = {{"apiVersion", "coordination.k8s.io/v1"},
                      {"kind", "Lease"},
                      {"metadata", {{"name", "l"}, {"namespace", "default"}}},
                      {"spec", {{"holderIdentity", "one"}, {"leaseDurationSeconds", 15}}}};
  const auto made = api_->Create(kLeases, lease);
  ASSERT_THAT(made, IsOk());
  ExpectRefused(api_->Create(kLeases, lease).status(), Code::kAlreadyExists, "AlreadyExists");
  json two = (*made)->ToJson();
  json three = two;
  two["spec"]["holderIdentity"] = "two";
  three["spec"]["holderIdentity"] = "three";
  ASSERT_THAT(api_->Update(kLeases, two), IsOk());
  ExpectRefused(api_->Update(kLeases, three).status(), Code::kAborted, "Conflict");
  EXPECT_EQ(api_->Get(kLeases, {"default", "l"}).value()->ToJson()["spec"]["holderIdentity"],
            "two");
  ASSERT_THAT(api_->Delete(kLeases, {"default", "l"}), IsOk());
  ExpectRefused(api_->Update(kLeases, two).status(), Code::kAborted, "Conflict");
}

}  // namespace
}  // namespace sluice::testing_kit
