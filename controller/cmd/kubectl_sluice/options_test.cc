#include "controller/cmd/kubectl_sluice/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "controller/cmd/kubectl_sluice/completion.h"
#include "controller/cmd/kubectl_sluice/contexts.h"
#include "controller/cmd/kubectl_sluice/words.h"
#include "controller/testing/status_matchers.h"

namespace sluice::kubectl {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_kit::HasError;
using testing_kit::IsOk;

using Words = std::vector<std::string>;

TEST(Options, NameTheWordTheRuleAndTheCure) {
  EXPECT_EQ(ParseOptions({"why", "site/phoenix", "-o", "json"})->output, Output::kJson);
  EXPECT_EQ(ParseOptions({"why", "site", "phoenix"})->site, "phoenix");
  EXPECT_EQ(ParseOptions({"why", "sites.v1alpha1.sluice.dev/phoenix"})->site, "phoenix");
  EXPECT_EQ(ParseOptions({"why", "ro/weekly"})->rollout, "weekly");
  EXPECT_EQ(ParseOptions({"can-advance", "rollout", "weekly"})->rollout, "weekly");
  EXPECT_EQ(ParseOptions({"propose", "rollout/weekly"})->rollout, "weekly");
  EXPECT_EQ(ParseOptions({"why", "--help"})->topic, "why");
  EXPECT_EQ(ParseOptions({})->command, Command::kHelp);
  for (const auto& [words, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"wy"}, "\"wy\": unknown command; there are why"},
           {{"why"}, "kubectl sluice why site/NAME"},
           {{"why", "node/x"}, "\"node\" is not a kind"},
           {{"why", "sites.foo.bar/x"}, "\"sites.foo.bar\" is not a kind"},
           {{"why", "sites.", "x"}, "\"sites.\" is not a kind"},
           {{"can-advance", "tenant/x"}, "\"tenant\" is not a kind"},
           {{"slo"}, "slo takes import or export"},
           {{"slo", "import"}, "kubectl sluice slo import FILE…"},
           {{"audit", "read"}, "audit takes verify or replay"},
           {{"why", "site/x", "site/y"}, "why takes one object"},
           {{"status", "now"}, "\"now\": status takes no argument"},
           {{"help", "wy"}, "\"wy\": unknown command"},
           {{"why", "site/../x"}, "is not an object's name"},
           {{"why", "site/x", "--nope"}, "--nope: unknown flag"},
           {{"why", "site/x", "-o", "xml"}, "none of text, wide, json, yaml"},
           {{"why", "site/x", "-o"}, "-o: needs a value"},
           {{"why", "site/x", "--evidence=yes"}, "takes no value; write --evidence"},
           {{"status", "--request-timeout=0s"}, "not a duration of 1s or more"},
           {{"status", "--as="}, "--as: takes a name without"},
           {{"status", "--as", "ana\r\nImpersonate-Group: system:masters"},
            "--as: takes a name without control characters"},
           {{"status", "--as-group", " x"}, "--as-group: takes a name without"},
           {{"status", "--as-uid", "x\t"}, "--as-uid: takes a name without"},
           {{"status", "--as-user-extra", "k"}, "--as-user-extra: \"k\" is not KEY=VALUE"},
           {{"status", "--as-user-extra", "=v"}, "is not KEY=VALUE"},
           {{"status", "--as-user-extra", "k="}, "--as-user-extra: takes a name without"},
           {{"completion", "tcsh"}, "bash, zsh, fish or kubectl"}}) {
    EXPECT_THAT(ParseOptions(words), HasError(base::Code::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(Options, AFlagOfAnotherCommandIsRefusedAndNotPassedOver) {
  for (const auto& [words, message] : std::vector<std::pair<Words, std::string>>{
           {{"why", "site/x", "--role", "Agree"}, "--role: why has no such flag"},
           {{"status", "--within=3d"}, "--within: status has no such flag"},
           {{"audit", "replay", "f", "--checkpoint", "c"},
            "--checkpoint: audit replay has no such"},
           {{"completion", "bash", "-o", "json"}, "-o: completion has no such flag"},
           {{"propose", "site/x", "--dry-run"}, "`kubectl sluice propose --help` lists its flags"},
           {{"slo", "export", "-o", "json"}, "-o json: slo export prints yaml"},
           {{"vote", "decision/x", "-o", "wide"}, "-o wide: vote prints json or yaml"},
           {{"vote", "decision/x", "--agree", "--disagree"}, "a vote is one of them"},
           {{"agenda", "--calendar", "c", "--print-calendar"}, "give one"},
           {{"agenda", "--print-calendar", "-o", "json"}, "a calendar is YAML"},
           {{"audit", "verify", "f", "--partial", "--ca", "c"}, "--partial and --ca: "}}) {
    EXPECT_THAT(ParseOptions(words), HasError(base::Code::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(Options, FlagsStandWhereKubectlsStand) {
  const auto options = ParseOptions({"--context=c", "why", "-ojson", "site/x", "-n=ns"});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->context, "c");
  EXPECT_EQ(OutputOf(*options), Output::kJson);
  EXPECT_EQ(options->namespace_name, "ns");
  EXPECT_TRUE(ParseOptions({"why", "site/x", "-o", "wide"})->evidence);
  EXPECT_EQ(ParseOptions({"--as", "system:serviceaccount:a:b", "status"})->as,
            "system:serviceaccount:a:b");
  EXPECT_THAT(ParseOptions({"status", "--as=x", "--as-group=a", "--as-group", "b"})->as_groups,
              ElementsAre("a", "b"));
  EXPECT_EQ(OutputOf(*ParseOptions({"why", "sites.sluice.dev", "x"})), Output::kText);
  EXPECT_EQ(OutputOf(*ParseOptions({"vote", "decision/x"})), Output::kJson);
  EXPECT_EQ(OutputOf(*ParseOptions({"slo", "export"})), Output::kYaml);
}

TEST(Help, TellsOfEachCommandAllItsFlagsAndNoOthers) {
  for (const CommandSpec& spec : Commands()) {
    if (spec.command == Command::kHelp) continue;
    const auto options = ParseOptions({"help", std::string(spec.word)});
    ASSERT_THAT(options, IsOk());
    const std::string text = HelpText(options->topic);
    EXPECT_THAT(text, HasSubstr("kubectl sluice " + std::string(spec.word)));
    EXPECT_THAT(HelpText(""), HasSubstr("\n  " + std::string(spec.word) + " "));
    if (spec.outputs.empty()) continue;  // completion: no flags at all
    for (const FlagSpec& flag : Flags()) {
      const bool of_word = std::any_of(
          Commands().begin(), Commands().end(),
          [&](const CommandSpec& other) { return other.word == spec.word && Takes(other, flag); });
      const bool told = text.find(" " + std::string(flag.name) + " ") != std::string::npos ||
                        text.find(" " + std::string(flag.name) + ",") != std::string::npos ||
                        text.find(" " + std::string(flag.name) + "\n") != std::string::npos;
      EXPECT_EQ(told, of_word) << spec.word << " " << flag.name;
    }
  }
  EXPECT_THAT(HelpText("slo"), HasSubstr("json or yaml; export: yaml\n"));
}

TEST(Completion, OffersWhatMayStandThere) {
  EXPECT_THAT(Complete({""}).words, Contains("can-advance"));
  EXPECT_THAT(Complete({"--context", "c", ""}).words, Contains("why"));
  EXPECT_THAT(Complete({"slo", ""}).words, ElementsAre("import", "export"));
  EXPECT_THAT(Complete({"why", ""}).words,
              ElementsAre("site/", "tenant/", "promotion/", "rollout/"));
  EXPECT_THAT(Complete({"vote", "decision/x", ""}).words, IsEmpty());
  EXPECT_EQ(Complete({"why", "site", ""}).kind, "site");
  EXPECT_EQ(Complete({"why", "ro", "w"}).kind, "rollout");
  EXPECT_EQ(Complete({"why", "sites.sluice.dev/"}).kind, "site");
  EXPECT_EQ(Complete({"why", "site", "x", ""}).kind, "");
  EXPECT_EQ(Complete({"why", "site/x", ""}).kind, "");
  EXPECT_TRUE(Complete({"why", "--context", ""}).contexts);
  EXPECT_TRUE(Complete({"why", "--context=c"}).contexts);
  EXPECT_FALSE(Complete({"why", ""}).contexts);
  EXPECT_THAT(Complete({"propose", "site/x", "--output="}).words, ElementsAre("json", "yaml"));
  EXPECT_THAT(Complete({"propose", "site/x", "-o", ""}).words, ElementsAre("json", "yaml"));
  EXPECT_THAT(Complete({"vote", "decision/x", "--role", ""}).words, Contains("Decide"));
  EXPECT_THAT(Complete({"vote", "decision/x", "-"}).words, Contains("--disagree"));
  EXPECT_THAT(Complete({"status", "-"}).words, Contains("--as-group"));
  EXPECT_THAT(Complete({"why", "site/x", "-"}).words, Not(Contains("--disagree")));
  EXPECT_THAT(Complete({"completion", ""}).words, ElementsAre("bash", "zsh", "fish", "kubectl"));
  EXPECT_TRUE(Complete({"audit", "verify", ""}).files);
  EXPECT_FALSE(Complete({"why", ""}).files);
  const Completion names = Complete({"why", "--context=c", "tenant/f"});
  EXPECT_EQ(names.kind, "tenant");
  EXPECT_EQ(names.options.context, "c");
}

TEST(Completion, TheKubeconfigsContextsAreOffered) {
  EXPECT_THAT(ContextsIn("contexts: [{name: prod, context: {cluster: c}}, {name: lab}, {}, 7]\n"),
              ElementsAre("prod", "lab"));
  for (const char* other :
       {"", "[]", "contexts: prod", "contexts: {a: 1}", "{", "contexts: null"}) {
    EXPECT_THAT(ContextsIn(other), IsEmpty()) << other;
  }
}

TEST(Completion, AnswersAsKubectlReadsIt) {
  EXPECT_EQ(CompletionAnswer(Complete({"why", "s"}), "s", {}), "site/\n:6\n");
  EXPECT_EQ(CompletionAnswer(Complete({"why", "site/p"}), "site/p", {"phoenix", "tucson"}),
            "site/phoenix\n:4\n");
  EXPECT_EQ(CompletionAnswer(Complete({"slo", "import", ""}), "", {}), ":0\n");
  EXPECT_EQ(CompletionAnswer(Complete({"why", "site", "p"}), "p", {"phoenix", "tucson"}),
            "phoenix\n:4\n");
  EXPECT_EQ(CompletionAnswer(Complete({"status", "--output=j"}), "--output=j", {}),
            "--output=json\n:4\n");
  EXPECT_EQ(CompletionAnswer(Complete({"status", "--context="}), "--context=", {"prod"}),
            "--context=prod\n:4\n");
  for (const std::string& shell : Shells()) {
    EXPECT_THAT(CompletionScript(shell), HasSubstr("__complete")) << shell;
  }
}

// What bash puts there when `typed` is being completed and the plugin answers with `lines`.
std::string InBash(const std::string& lines, const std::string& typed) {
  const std::string script = "kubectl-sluice() { printf '%s\\n' " + lines + "; }\n" +
                             CompletionScript("bash") + "COMP_WORDS=(kubectl-sluice status " +
                             typed + ") COMP_CWORD=2 COMP_LINE='kubectl-sluice status '" + typed +
                             "\n_kubectl_sluice\nprintf '<%s>' \"${COMPREPLY[@]}\"\n";
  const std::string command = "bash <<'END_OF_SCRIPT'\n" + script + "END_OF_SCRIPT\n";
  FILE* shell = popen(command.c_str(), "r");
  std::string out;
  for (char bytes[256]; fgets(bytes, sizeof(bytes), shell) != nullptr;) out += bytes;
  EXPECT_EQ(pclose(shell), 0);
  return out;
}

TEST(Completion, BashOffersWhatFitsAndRunsNoneOfIt) {
  EXPECT_EQ(InBash("--as --as-group --help :4", "--a"), "<--as><--as-group>");
  EXPECT_EQ(InBash("phoenix :4", "''"), "<phoenix>");
  EXPECT_EQ(InBash("'$(echo ran)' '`echo ran`' '*' :4", "''"),
            R"(<\$\(echo\ ran\)><\`echo\ ran\`><\*>)")
      << "a name is told as it is to be typed";
  EXPECT_EQ(InBash(":4", "''"), "<>");
}

}  // namespace
}  // namespace sluice::kubectl
