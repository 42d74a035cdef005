#include "reconcilers/audit/verify.h"

#include <fmt/format.h>

#include "reconcilers/audit/limits.h"

namespace sluice::audit {

Verifier::Verifier(VerifyOptions options, std::function<void(const Line&)> each)
    : options_(std::move(options)), each_(std::move(each)) {}

void Verifier::Report(std::uint64_t line, std::string what) {
  ++out_.problem_count;
  if (out_.problems.size() < kMaxProblems) out_.problems.push_back({file_, line, std::move(what)});
}

void Verifier::BeginFile(std::string name) {
  EndFile();
  file_ = std::move(name);
  file_line_ = 0;
  ++out_.files;
}

void Verifier::EndFile() {
  if (torn_.size() >= kMaxProblems) SettleTorn(false);
  if (!rest_.empty() || too_long_) {
    torn_.push_back(
        {file_, ++file_line_,
         fmt::format("{} bytes after the last whole line: a crash while writing, or a cut",
                     rest_.size())});
  }
  if (out_.files > 0 && file_line_ == 0) torn_.push_back({file_, 0, "the file is empty"});
  rest_.clear();
  too_long_ = false;
}

void Verifier::SettleTorn(bool proved) {
  for (Problem& each : torn_) {
    auto& list = proved ? out_.notices : out_.problems;
    if (!proved) ++out_.problem_count;
    if (list.size() < kMaxProblems) list.push_back(std::move(each));
  }
  torn_.clear();
}

void Verifier::Add(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (!too_long_ && rest_.size() + part.size() < kMaxLineBytes) {
      rest_.append(part);
    } else {
      too_long_ = true;
      rest_.clear();
    }
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    ++file_line_;
    if (too_long_) {
      Report(file_line_, "the line is too long");
      before_.reset();
      lost_ = true;
    } else {
      Take(rest_);
    }
    too_long_ = false;
    rest_.clear();
  }
}

void Verifier::Take(std::string_view text) {
  auto line = ParseLine(text);
  if (!line.ok()) {
    Report(file_line_, line.status().message());
    SettleTorn(false);
    before_.reset();
    lost_ = true;
    return;
  }
  SettleTorn(CheckPlace(*line));
  ++out_.lines;
  if (out_.lines == 1) out_.first = line->head;
  out_.head = line->head;
  before_ = line->head;
  lost_ = false;
  if (out_.anchored) ++out_.after_anchor;
  if (options_.anchor && line->head == *options_.anchor) out_.anchored = true;
  if (line->head.seq == options_.retired.seq) {
    owes_retired_ = false;
    if (line->head != options_.retired) Report(file_line_, "a checkpoint names another line here");
  }
  if (each_) each_(*line);
}

// The first line of all. Whether it stands where the log, or what retention left of it, begins.
bool Verifier::CheckStart(const Line& line) {
  const Head& retired = options_.retired;
  const std::uint64_t seq = line.head.seq;
  if (seq <= retired.seq) {
    owes_retired_ = !options_.partial;
    return true;
  }
  const bool next = seq == retired.seq + 1;
  if (next && line.prev == retired.hash) return true;
  if (options_.gaps && !next) {
    out_.absent += seq - retired.seq - 1;
    return true;
  }
  if (!options_.partial || (options_.gaps && next)) {
    Report(file_line_,
           next ? fmt::format("line {} does not follow what came before it", seq)
                : fmt::format("the log begins with line {}: what came before is missing", seq));
  }
  return false;
}

bool Verifier::CheckPlace(const Line& line) {
  const Head& at = line.head;
  if (!before_) {
    if (!lost_) return CheckStart(line);
    if (at.seq <= out_.head.seq) Report(file_line_, "the line is out of its order");
    return false;
  }
  const bool opens = line.entry.type == kOpened;
  const bool next = line.prev == before_->hash && at.seq == before_->seq + 1;
  if (next && (opens ? at.epoch > before_->epoch : at.epoch == before_->epoch)) return true;
  if (next) {
    Report(file_line_, fmt::format("epoch {} after epoch {}: an epoch begins with an Opened line "
                                   "and is higher than the one before",
                                   at.epoch, before_->epoch));
  } else if (at.seq > before_->seq + 1 && options_.gaps && file_line_ == 1) {
    out_.absent += at.seq - before_->seq - 1;
    return true;
  } else if (at.seq > before_->seq + 1) {
    Report(file_line_, fmt::format("lines {} to {} are missing", before_->seq + 1, at.seq - 1));
  } else if (opens && at.epoch > before_->epoch) {
    Report(file_line_, fmt::format("epoch {} goes on from line {}: the {} lines after it are not "
                                   "part of the chain",
                                   at.epoch, at.seq - 1, before_->seq + 1 - at.seq));
  } else if (at.seq <= before_->seq) {
    Report(file_line_,
           fmt::format("line {} after line {}: out of order or doubled", at.seq, before_->seq));
  } else {
    Report(file_line_, "the line does not follow the one before it");
  }
  return false;
}

const Verification& Verifier::Finish() {
  EndFile();
  file_.clear();
  SettleTorn(out_.anchored && out_.after_anchor == 0);
  if (out_.files == 0 || out_.lines == 0) {
    Report(0, "there is nothing to verify");
  } else if (options_.anchor && !out_.anchored) {
    Report(0, fmt::format("line {} of epoch {}, which a checkpoint names, is not in the files: the "
                          "end was cut off, or these are other files",
                          options_.anchor->seq, options_.anchor->epoch));
  } else if (owes_retired_) {
    Report(0, fmt::format("line {}, the last one a checkpoint calls retired, is not in the files, "
                          "but earlier ones are",
                          options_.retired.seq));
  }
  return out_;
}

Verification Verify(const std::vector<FileText>& files, const VerifyOptions& options) {
  Verifier verifier(options);
  for (const FileText& file : files) {
    verifier.BeginFile(file.name);
    verifier.Add(file.text);
  }
  return verifier.Finish();
}

}  // namespace sluice::audit
