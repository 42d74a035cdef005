#include "reconcilers/audit/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/log.h"
#include "reconcilers/audit/limits.h"

namespace sluice::audit {

using base::Status;
using base::StatusOr;

namespace {

base::WallTime WholeMicros(base::WallTime time) {
  return std::chrono::floor<std::chrono::microseconds>(time);
}

// The head of the last whole line of a file's end.
std::optional<Head> LastLine(std::string_view tail) {
  const std::size_t end = tail.rfind('\n');
  if (end == std::string_view::npos) return std::nullopt;
  tail = tail.substr(0, end);
  const std::size_t begin = tail.rfind('\n');
  const auto line = ParseLine(begin == std::string_view::npos ? tail : tail.substr(begin + 1));
  if (!line.ok()) return std::nullopt;
  return line->head;
}

}  // namespace

Log::Log(LogOptions options, Disk& disk, CheckpointStore& checkpoints, base::Clock& clock)
    : options_(std::move(options)), disk_(disk), checkpoints_(checkpoints), clock_(clock) {}

Status Log::Open(std::int64_t epoch) {
  const std::lock_guard opening(opening_);
  {
    const std::lock_guard lock(mutex_);
    epoch_ = epoch;
    file_.reset();
    file_bytes_ = 0;
    torn_ = began_ = false;
    Show([](Stats& stats) {
      stats.open = false;
      stats.leading = true;
    });
  }
  tried_at_.reset();
  last_.reset();
  return OpenNow();
}

void Log::Close() {
  if (const Status status = WriteCheckpoint(); !status.ok()) {
    base::log::Warn("audit log closed without its last checkpoint", {{"error", status}});
  }
  const std::lock_guard opening(opening_);
  const std::lock_guard lock(mutex_);
  epoch_.reset();
  file_.reset();
  began_ = false;
  Show([](Stats& stats) { stats.open = stats.leading = false; });
}

Status Log::EnsureOpen() {
  {
    const std::lock_guard lock(mutex_);
    if (stats_.open) return Repair();
  }
  const std::lock_guard opening(opening_);
  {
    const std::lock_guard lock(mutex_);
    if (stats_.open) return Repair();
    if (!epoch_) return base::Unavailable("the audit log is not open: this replica does not lead");
  }
  if (tried_at_ && clock_.Mono() - *tried_at_ < kReopenEvery) return open_error_;
  return OpenNow();
}

Status Log::OpenNow() {
  tried_at_ = clock_.Mono();
  open_error_ = [&]() -> Status {
    std::int64_t epoch = 0;
    bool began = false;
    {
      const std::lock_guard lock(mutex_);
      epoch = *epoch_;
      began = began_;
    }
    SLUICE_ASSIGN_OR_RETURN(const auto stored, checkpoints_.Read());
    checkpoint_ = stored.value_or(CheckpointStore::Versioned{});
    if (!began) {
      if (!last_) {
        SLUICE_ASSIGN_OR_RETURN(last_, LastHead());
      }
      // A fencing record that was deleted begins at 1 again; the log's epochs go on.
      epoch = std::max({epoch, last_->epoch + 1, named_epoch_ + 1});
      SLUICE_RETURN_IF_ERROR(Begin(epoch, *last_));
    }
    Head head;
    {
      const std::lock_guard lock(mutex_);
      head = stats_.head;
    }
    SLUICE_RETURN_IF_ERROR(PutCheckpoint(head));
    const std::lock_guard lock(mutex_);
    retire_due_ = true;
    Show([](Stats& stats) { stats.open = true; });
    return base::OkStatus();
  }();
  if (!open_error_.ok()) {
    base::log::Error("audit log could not be opened", {{"error", open_error_}});
  }
  return open_error_;
}

StatusOr<std::optional<Head>> Log::HeadOnDisk() {
  if (options_.directory.empty()) return std::optional<Head>();
  SLUICE_ASSIGN_OR_RETURN(const auto names, disk_.List(options_.directory));
  named_epoch_ = 0;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (!IsFileName(*name)) continue;
    named_epoch_ = std::max(named_epoch_, EpochOfFileName(*name));
    SLUICE_ASSIGN_OR_RETURN(const std::string tail,
                            disk_.Tail(options_.directory + "/" + *name, 2 * kMaxLineBytes));
    if (const auto head = LastLine(tail)) return head;
    // An epoch that ended before its first line was whole.
  }
  return std::optional<Head>();
}

StatusOr<Head> Log::LastHead() {
  SLUICE_ASSIGN_OR_RETURN(const auto on_disk, HeadOnDisk());
  const Head& kept = checkpoint_.checkpoint.head;
  if (!on_disk || on_disk->seq <= kept.seq) {
    if (on_disk && on_disk->seq == kept.seq && on_disk->hash != kept.hash) {
      base::log::Error("audit files differ from their checkpoint", {{"seq", kept.seq}});
    }
    return kept;
  }
  return *on_disk;
}

Status Log::Begin(std::int64_t epoch, const Head& last) {
  const std::lock_guard lock(mutex_);
  if (!options_.directory.empty() && file_ == nullptr) {
    const std::string path = options_.directory + "/" + FileName(epoch, last.seq + 1);
    SLUICE_ASSIGN_OR_RETURN(file_, disk_.Create(path));
  }
  SLUICE_RETURN_IF_ERROR(Repair());
  const nlohmann::json data = {{"previousEpoch", last.epoch}, {"previousSeq", last.seq}};
  Head head;
  SLUICE_ASSIGN_OR_RETURN(
      std::string line,
      FormatLine({kOpened, "AuditLog/sluice",
                  options_.identity.empty() ? "controller" : options_.identity, data.dump()},
                 epoch, WholeMicros(clock_.Wall()), last, head));
  SLUICE_RETURN_IF_ERROR(Write(line + "\n", head, 1));
  epoch_ = epoch;
  began_ = true;
  return base::OkStatus();
}

Status Log::Repair() {
  if (!torn_) return base::OkStatus();
  SLUICE_RETURN_IF_ERROR(file_->Truncate(file_bytes_));
  SLUICE_RETURN_IF_ERROR(file_->Sync());
  torn_ = false;
  return base::OkStatus();
}

Status Log::Rotate() {
  const std::string path = options_.directory + "/" + FileName(*epoch_, stats_.head.seq + 1);
  SLUICE_ASSIGN_OR_RETURN(file_, disk_.Create(path));
  file_bytes_ = 0;
  retire_due_ = true;
  return base::OkStatus();
}

Status Log::Write(const std::string& lines, const Head& head, std::size_t count) {
  const std::uint64_t limit = options_.retention.file_bytes;
  if (file_ != nullptr && limit != 0 && file_bytes_ != 0 && file_bytes_ + lines.size() > limit) {
    if (const Status status = Rotate(); !status.ok()) {
      Show([](Stats& stats) { ++stats.failures; });
      return base::Unavailable(status.message());
    }
  }
  if (file_ != nullptr) {
    torn_ = true;
    Status status = file_->Append(lines);
    if (status.ok()) status = file_->Sync();
    if (!status.ok()) {
      Show([](Stats& stats) { ++stats.failures; });
      if (const Status repaired = Repair(); !repaired.ok()) {
        base::log::Error("audit file could not be cut back", {{"error", repaired}});
      }
      return base::Unavailable(status.message());
    }
    torn_ = false;
    file_bytes_ += lines.size();
  }
  const Status shipped = options_.ship ? options_.ship(lines) : base::OkStatus();
  const bool written = shipped.ok() || file_ != nullptr;
  Show([&](Stats& stats) {
    if (!shipped.ok()) stats.unshipped += count;
    if (written) {
      stats.head = head;
      stats.entries += count;
    } else {
      ++stats.failures;
    }
  });
  return written ? base::OkStatus() : base::Unavailable(shipped.message());
}

Status Log::Append(const std::vector<Entry>& entries, Anchor anchor) {
  if (entries.empty()) return base::OkStatus();
  if (entries.size() > kMaxEntries)
    return base::ResourceExhausted("too many audit entries at once");
  SLUICE_RETURN_IF_ERROR(EnsureOpen());
  {
    const std::lock_guard lock(mutex_);
    if (!stats_.open) return base::Unavailable("the audit log was closed");
    std::string lines;
    Head head = stats_.head;
    const base::WallTime now = WholeMicros(clock_.Wall());
    for (const Entry& entry : entries) {
      const Head before = head;
      SLUICE_ASSIGN_OR_RETURN(const std::string line,
                              FormatLine(entry, *epoch_, now, before, head));
      lines += line + "\n";
    }
    SLUICE_RETURN_IF_ERROR(Write(lines, head, entries.size()));
  }
  return anchor == Anchor::kNow ? WriteCheckpoint() : base::OkStatus();
}

Status Log::Ready() { return EnsureOpen(); }

std::string Log::HeadHash() const {
  const std::lock_guard lock(mutex_);
  return stats_.head.seq == 0 ? std::string() : stats_.head.hash;
}

Status Log::WriteCheckpoint() {
  const std::lock_guard opening(opening_);
  Head head;
  {
    const std::lock_guard lock(mutex_);
    if (!stats_.open) return base::OkStatus();
    head = stats_.head;
  }
  if (head == checkpoint_.checkpoint.head) return base::OkStatus();
  const Status status = PutCheckpoint(head);
  if (status.code() == base::Code::kAborted && status.reason() == "NotLeading") {
    const std::lock_guard lock(mutex_);
    Show([](Stats& stats) { stats.open = false; });
  }
  return status;
}

Status Log::PutCheckpoint(const Head& head, const Head& retired) {
  // Once more after another writer was first: what it wrote decides.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Head& before = checkpoint_.checkpoint.retired;
    CheckpointStore::Versioned next{
        .checkpoint = {.head = head,
                       .time = clock_.Wall(),
                       .signature = {},
                       .retired = retired.seq > before.seq ? retired : before},
        .version = {}};
    if (options_.sign) {
      SLUICE_ASSIGN_OR_RETURN(next.checkpoint.signature,
                              options_.sign(SignedText(next.checkpoint)));
    }
    auto written = checkpoints_.Write(next.checkpoint, checkpoint_.version);
    if (written.ok()) {
      next.version = *std::move(written);
      checkpoint_ = std::move(next);
      const std::lock_guard lock(mutex_);
      Show([&](Stats& stats) {
        stats.checkpointed = head.seq;
        stats.retired = checkpoint_.checkpoint.retired.seq;
      });
      return base::OkStatus();
    }
    if (written.status().code() != base::Code::kAborted &&
        written.status().code() != base::Code::kAlreadyExists) {
      return written.status();
    }
    SLUICE_ASSIGN_OR_RETURN(const auto stored, checkpoints_.Read());
    if (stored && stored->checkpoint.head.epoch > head.epoch) {
      return base::Aborted("another replica leads the audit log").WithReason("NotLeading");
    }
    checkpoint_ = stored.value_or(CheckpointStore::Versioned{});
  }
  return base::Unavailable("the audit log's checkpoint is written by somebody else");
}

Status Log::Retire() {
  const Retention& keep = options_.retention;
  if (options_.directory.empty() || (keep.keep_bytes == 0 && keep.keep_age.count() == 0)) {
    return base::OkStatus();
  }
  const std::lock_guard retiring(retiring_);
  {
    const std::lock_guard lock(mutex_);
    const bool waited = !retire_at_ || clock_.Mono() >= *retire_at_;
    if (!stats_.open || (!retire_due_ && !waited)) return base::OkStatus();
    retire_due_ = false;
  }
  retire_at_ = clock_.Mono() + std::chrono::duration_cast<base::MonoTime::duration>(kRetireEvery);
  const Status status = RetireNow();
  const std::lock_guard lock(mutex_);
  const bool blocked = status.code() == base::Code::kDataLoss;
  Show([&](Stats& stats) { stats.retention_blocked = blocked; });
  retire_due_ = retire_due_ || (!status.ok() && !blocked);  // soon, then
  return status;
}

Status Log::RetireNow() {
  Checkpoint anchored;
  {
    const std::lock_guard opening(opening_);
    anchored = checkpoint_.checkpoint;
  }
  SLUICE_ASSIGN_OR_RETURN(
      const Retirement plan,
      PlanRetirement(disk_, options_.directory, options_.retention, anchored, clock_.Wall()));
  if (plan.files.empty()) return base::OkStatus();
  // What an earlier leader was killed over is signed for already, and only removed.
  if (plan.through.seq > anchored.retired.seq) {
    const nlohmann::json data = {{"throughEpoch", plan.through.epoch},
                                 {"throughSeq", plan.through.seq},
                                 {"throughHash", plan.through.hash},
                                 {"files", plan.files.size()},
                                 {"bytes", plan.bytes},
                                 {"absentLines", plan.absent}};
    SLUICE_RETURN_IF_ERROR(
        Append({{kRetired, "AuditLog/sluice", "controller", data.dump()}}, Anchor::kLater));
    const std::lock_guard opening(opening_);
    Head head;
    {
      const std::lock_guard lock(mutex_);
      if (!stats_.open) return base::Unavailable("the audit log was closed");
      head = stats_.head;
    }
    SLUICE_RETURN_IF_ERROR(PutCheckpoint(head, plan.through));
  }
  for (const std::string& name : plan.files) {
    SLUICE_RETURN_IF_ERROR(disk_.Remove(options_.directory + "/" + name));
  }
  base::log::Info("audit files retired", {{"files", plan.files.size()},
                                          {"bytes", plan.bytes},
                                          {"through_seq", plan.through.seq},
                                          {"absent_lines", plan.absent}});
  const std::lock_guard lock(mutex_);
  retire_due_ = plan.files.size() >= kMaxRetiredFiles;  // there may be more
  return base::OkStatus();
}

void Log::Show(const std::function<void(Stats&)>& change) {
  const std::lock_guard lock(stats_mutex_);
  change(stats_);
}

Log::Stats Log::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

}  // namespace sluice::audit
