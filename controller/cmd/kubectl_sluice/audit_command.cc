#include "controller/cmd/kubectl_sluice/audit_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/base/time_format.h"
#include "controller/cmd/kubectl_sluice/answer.h"
#include "reconcilers/audit/checkpoint.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/audit/verify.h"

namespace sluice::kubectl {
namespace {

using nlohmann::json;

constexpr std::size_t kChunk = 1 << 16;

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Files named by the controller are put into the order of the log; others stay as they were given.
std::vector<std::string> Ordered(std::vector<std::string> files) {
  const bool ours = std::all_of(files.begin(), files.end(), [](const std::string& path) {
    return audit::IsFileName(BaseName(path));
  });
  if (ours) {
    std::sort(files.begin(), files.end(),
              [](const std::string& a, const std::string& b) { return BaseName(a) < BaseName(b); });
  }
  return files;
}

base::Status Feed(const std::vector<std::string>& files, audit::Verifier& verifier,
                  const std::function<void(const std::string&)>& begin) {
  for (const std::string& path : Ordered(files)) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return base::NotFound(fmt::format("{}: cannot be read", path));
    begin(path);
    verifier.BeginFile(path);
    std::string chunk(kChunk, '\0');
    while (in) {
      in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
      verifier.Add(std::string_view(chunk).substr(0, static_cast<std::size_t>(in.gcount())));
    }
    if (in.bad()) return base::Unavailable(fmt::format("{}: cannot be read to its end", path));
  }
  return base::OkStatus();
}

base::StatusOr<audit::Checkpoint> CheckpointOf(const json& object, const std::string& from) {
  std::map<std::string, std::string> data;
  if (object.is_object()) {
    const json kept = object.value("data", json::object());
    for (const auto& [name, value] : kept.items()) {
      if (value.is_string()) data[name] = value.get<std::string>();
    }
  }
  auto checkpoint = audit::Decode(data);
  if (!checkpoint.ok()) return base::InvalidArgument(from + ": " + checkpoint.status().message());
  return checkpoint;
}

base::StatusOr<audit::Checkpoint> ReadCheckpoint(const Options& options, client::Reader* api) {
  if (!options.checkpoint.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(options.checkpoint));
    return CheckpointOf(json::parse(text, nullptr, false), options.checkpoint);
  }
  const meta::Resource config_maps{"", "v1", "ConfigMap", "configmaps", true};
  const auto object = api->Get(config_maps, {options.namespace_name, "sluice-audit-head"});
  if (!object.ok() && object.status().code() == base::Code::kNotFound) {
    return base::NotFound(fmt::format(
        "there is no ConfigMap sluice-audit-head in namespace {}: give the controller's "
        "by -n, a copy of it by --checkpoint, or --partial for a part of a log",
        options.namespace_name));
  }
  if (!object.ok()) return object.status().Annotate("the audit log's checkpoint");
  return CheckpointOf((*object)->ToJson(), "ConfigMap sluice-audit-head");
}

void Tell(json& list, std::string& text, const char* mark, const audit::Problem& problem) {
  const std::string place =
      problem.line == 0 ? problem.file : fmt::format("{}:{}", problem.file, problem.line);
  text += fmt::format("{}  {}{}{}\n", mark, place, place.empty() ? "" : ": ", problem.what);
  list.push_back({{"file", problem.file}, {"line", problem.line}, {"what", problem.what}});
}

std::string HeadText(const audit::Head& head) {
  return fmt::format("line {} of epoch {}, {}", head.seq, head.epoch, head.hash);
}

}  // namespace

bool NeedsCheckpoint(const Options& options) {
  return options.checkpoint.empty() && !options.partial;
}

base::StatusOr<AuditAnswer> AuditVerify(const Options& options, client::Reader* api) {
  audit::VerifyOptions how;
  how.partial = options.partial;
  std::string signature = "not checked: give the authority's certificate with --ca";
  if (!options.checkpoint.empty() || NeedsCheckpoint(options)) {
    SLUICE_ASSIGN_OR_RETURN(const audit::Checkpoint checkpoint, ReadCheckpoint(options, api));
    how.anchor = checkpoint.head;
    how.retired = checkpoint.retired;
    if (!options.authority.empty()) {
      SLUICE_ASSIGN_OR_RETURN(const std::string pem, base::ReadFile(options.authority));
      SLUICE_RETURN_IF_ERROR(
          audit::CheckSignature(pem, audit::SignedText(checkpoint), checkpoint.signature)
              .Annotate("the checkpoint's signature"));
      signature = "good";
    }
  }
  audit::Verifier verifier(how);
  SLUICE_RETURN_IF_ERROR(Feed(options.files, verifier, [](const std::string&) {}));
  const audit::Verification& v = verifier.Finish();
  AuditAnswer answer{.text = {}, .good = v.ok()};
  json out = {{"ok", v.ok()},
              {"files", v.files},
              {"lines", v.lines},
              {"problemCount", v.problem_count},
              {"problems", json::array()},
              {"notices", json::array()},
              {"head", {{"epoch", v.head.epoch}, {"seq", v.head.seq}, {"hash", v.head.hash}}}};
  std::string text;
  for (const audit::Problem& p : v.problems) Tell(out["problems"], text, "WRONG ", p);
  for (const audit::Problem& p : v.notices) Tell(out["notices"], text, "notice", p);
  text += v.ok() ? fmt::format("whole: {} lines in {} files, head {}\n", v.lines, v.files,
                               HeadText(v.head))
                 : fmt::format("not whole: {} problems in {} lines of {} files\n", v.problem_count,
                               v.lines, v.files);
  if (how.anchor) {
    out["checkpoint"] = {{"seq", how.anchor->seq}, {"found", v.anchored}, {"signature", signature}};
    text += fmt::format("checkpoint: {}; {} lines are newer; signature {}\n", HeadText(*how.anchor),
                        v.after_anchor, signature);
    if (how.retired.seq != 0) {
      out["retired"] = {{"seq", how.retired.seq}, {"hash", how.retired.hash}};
      text += fmt::format(
          "retired: lines 1 to {} may be gone by retention; the checkpoint stands for "
          "them; the first one here is line {}\n",
          how.retired.seq, v.first.seq);
    }
  } else {
    text += "a part of the log: what came before and after it is not proved\n";
  }
  answer.text = Formatted(OutputOf(options), text, out.dump(2) + "\n");
  return answer;
}

base::StatusOr<AuditAnswer> AuditReplay(const Options& options) {
  audit::Replayer replayer;
  std::string file;
  audit::Verifier verifier({.anchor = {}, .partial = true},
                           [&](const audit::Line& line) { replayer.Take(file, line); });
  SLUICE_RETURN_IF_ERROR(
      Feed(options.files, verifier, [&](const std::string& path) { file = path; }));
  const audit::Verification& v = verifier.Finish();
  const bool good = replayer.problem_count() == 0 && v.ok();
  json out = {{"ok", good},
              {"verdicts", replayer.verdicts()},
              {"disagreements", replayer.problem_count()},
              {"problems", json::array()}};
  std::string text;
  for (const audit::Problem& p : v.problems) Tell(out["problems"], text, "WRONG ", p);
  for (const audit::Problem& p : replayer.problems()) {
    Tell(out["problems"], text, "DIFFERS", p);
  }
  text += fmt::format("{} recorded verdicts replayed, {} differ{}\n", replayer.verdicts(),
                      replayer.problem_count(),
                      v.ok() ? "" : "; the files are damaged: see audit verify");
  return AuditAnswer{Formatted(OutputOf(options), text, out.dump(2) + "\n"), good};
}

}  // namespace sluice::kubectl
