#include "reconcilers/audit/retention.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "reconcilers/audit/limits.h"
#include "reconcilers/audit/verify.h"

namespace sluice::audit {
namespace {

using base::StatusOr;

struct FileOnDisk {
  std::string name;
  std::uint64_t bytes = 0;
};

StatusOr<std::vector<FileOnDisk>> FilesIn(Disk& disk, const std::string& directory) {
  SLUICE_ASSIGN_OR_RETURN(const auto names, disk.List(directory));
  std::vector<FileOnDisk> out;
  for (const std::string& name : names) {
    if (!IsFileName(name)) continue;
    SLUICE_ASSIGN_OR_RETURN(const std::uint64_t bytes, disk.Size(directory + "/" + name));
    out.push_back({name, bytes});
  }
  return out;
}

// nullopt: a crash or somebody else left a file that does not begin with a whole line.
StatusOr<std::optional<std::string>> FirstLine(Disk& disk, const std::string& path) {
  std::string text;
  while (text.size() < kMaxLineBytes) {
    SLUICE_ASSIGN_OR_RETURN(const std::string more, disk.Read(path, text.size(), kReadBytes));
    if (more.empty()) break;
    text += more;
    const std::size_t end = text.find('\n');
    if (end != std::string::npos) return std::optional(text.substr(0, end));
  }
  return std::optional<std::string>();
}

// The line before `line`, which only its neighbour still tells about.
Head Before(const Line& line) {
  Head out{.epoch = line.head.epoch, .seq = line.head.seq - 1, .hash = line.prev};
  if (line.entry.type == kOpened) {
    const auto data = nlohmann::json::parse(line.entry.data, nullptr, false);
    out.epoch = data.is_object() ? data.value("previousEpoch", std::int64_t{0}) : 0;
  }
  return out;
}

base::Status Feed(Disk& disk, const std::string& path, Verifier& verifier) {
  for (std::uint64_t at = 0;;) {
    SLUICE_ASSIGN_OR_RETURN(const std::string part, disk.Read(path, at, kReadBytes));
    if (part.empty()) return base::OkStatus();
    verifier.Add(part);
    at += part.size();
  }
}

// That `files` lead to `next_line`, the first one of the file that stays; `absent` lines aside.
base::Status Prove(Disk& disk, const std::string& directory, const std::vector<std::string>& files,
                   const std::string& next_line, const Head& retired, std::uint64_t& absent) {
  Verifier verifier(VerifyOptions{.anchor = {}, .partial = true, .retired = retired, .gaps = true});
  for (const std::string& name : files) {
    verifier.BeginFile(name);
    SLUICE_RETURN_IF_ERROR(Feed(disk, directory + "/" + name, verifier));
  }
  verifier.BeginFile("the file after them");
  verifier.Add(next_line + "\n");
  const Verification& proof = verifier.Finish();
  absent = proof.absent;
  if (proof.ok()) return base::OkStatus();
  const Problem& first = proof.problems.front();
  return base::DataLoss(fmt::format("{}:{}: {}", first.file, first.line, first.what));
}

}  // namespace

StatusOr<Retirement> PlanRetirement(Disk& disk, const std::string& directory, const Retention& keep,
                                    const Checkpoint& checkpoint, base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto files, FilesIn(disk, directory));
  std::uint64_t left = 0;
  for (const FileOnDisk& file : files) left += file.bytes;
  Retirement out;
  std::string next_line;
  std::size_t count = 0;
  std::uint64_t bytes = 0;  // of the files before `next`
  for (std::size_t next = 1; next < files.size() && next <= kMaxRetiredFiles; ++next) {
    bytes += files[next - 1].bytes;
    SLUICE_ASSIGN_OR_RETURN(const auto text, FirstLine(disk, directory + "/" + files[next].name));
    const auto line = text ? ParseLine(*text) : StatusOr<Line>(base::DataLoss("no whole line"));
    if (!line.ok()) continue;  // goes, or is found wrong, with what is before it
    const bool large = keep.keep_bytes != 0 && left - out.bytes > keep.keep_bytes;
    const bool old = keep.keep_age.count() != 0 && line->time + keep.keep_age <= now;
    const Head before = Before(*line);
    if ((!large && !old) || before.seq > checkpoint.head.seq) break;
    count = next;
    out.through = before;
    out.bytes = bytes;
    next_line = *text;
  }
  for (std::size_t i = 0; i < count; ++i) out.files.push_back(files[i].name);
  if (count > 0) {
    SLUICE_RETURN_IF_ERROR(
        Prove(disk, directory, out.files, next_line, checkpoint.retired, out.absent));
  }
  return out;
}

}  // namespace sluice::audit
