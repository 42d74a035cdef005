// A year of one site in seconds: generated traffic, incidents, outages of Prometheus and of the
// audit log, freezes, exemptions, urgent changes, restarts and kills, on a fake clock and with the
// real evaluator and the real log. Invariants are checked at every step; at the end the log is
// verified and every recorded verdict replayed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <set>

#include "reconcilers/audit/fakes_for_test.h"
#include "reconcilers/audit/log.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/audit/verify.h"
#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/gates/stage_record.h"

namespace sluice::audit {
namespace {

using namespace gates;         // NOLINT: the simulation speaks the evaluator's language
using namespace gates::cases;  // NOLINT: its builders
using std::chrono::hours;

// Under a sanitizer, ten times slower, six weeks have to do.
#ifdef SLUICE_SANITIZED
constexpr int kDays = 45;
#else
constexpr int kDays = 365;
#endif
constexpr minutes kStep{15};
constexpr int kSteps = kDays * 24 * 4;
constexpr int kWindowSteps = 30 * 24 * 4;
const std::array<const char*, 4> kStages = {"", "Crawl", "Walk", "Run"};

// What is going on at the site, apart from time: each lasts until its step.
struct World {
  int incident = 0, outage = 0, stale = 0, quiet = 0, odd = 0, audit_down = 0, urgent = 0;
  double incident_errors = 0;
  std::string odd_value;
};

class Year {
 public:
  explicit Year(unsigned seed) : random_(seed) {
    LogOptions options;
    options.directory = "log";
    options.identity = "year";
    log_ = std::make_unique<Log>(std::move(options), disk_, checkpoints_, clock_);
    EXPECT_TRUE(log_->Open(++epoch_).ok());
  }

  void Run() {
    for (step_ = 0; step_ < kSteps && !::testing::Test::HasFailure(); ++step_) {
      clock_.Advance(kStep);
      Happen();
      Measure();
      Climb();
    }
  }

  std::set<Cause> seen;
  int reached_run = 0;
  int moves = 0;
  fakes::MemoryDisk& disk() { return disk_; }
  Head head() const { return log_->stats().head; }
  void Close() {
    disk_.full = false;
    EXPECT_TRUE(log_->Ready().ok());
    log_->Close();
  }

 private:
  bool Chance(double per_day) { return unit_(random_) < per_day / (24 * 4); }
  int For(int least, int most) {
    return step_ + std::uniform_int_distribution<int>(least, most)(random_);
  }

  void Happen() {
    if (Chance(0.08)) {
      world_.incident = For(1, 24);
      world_.incident_errors = unit_(random_) < 0.3 ? 0.4 : 0.01;
    }
    if (Chance(0.1)) world_.outage = For(1, 12);
    if (Chance(0.1)) world_.stale = For(1, 8);
    if (Chance(0.1)) world_.quiet = For(1, 12);
    if (Chance(0.15)) {
      world_.odd = For(1, 4);
      world_.odd_value = std::array{"NaN", "+Inf", "", "two"}[random_() % 4];
    }
    if (Chance(0.06)) world_.audit_down = For(1, 8);
    if (Chance(0.1)) world_.urgent = For(2, 12);
    if (Chance(0.15)) {
      const auto end = clock_.Wall() + kStep * (For(4, 96) - step_);
      freezes_.push_back({fmt::format("freeze-{}", step_), "holiday", end,
                          step_ % 2 == 0 ? std::vector<ChangeClass>{ChangeClass::kP0}
                                         : std::vector<ChangeClass>{}});
    }
    if (Chance(0.15)) {
      Exemption exemption{fmt::format("deal-{}", step_), {"burn", "availability"}, {}, {}};
      if (step_ % 2 == 0) exemption.also = {Cause::kNoData, Cause::kProviderError};
      exemption.expires_at = clock_.Wall() + kStep * (For(4, 96) - step_);
      exemptions_.push_back(std::move(exemption));
    }
    if (Chance(0.2)) Restart();
    disk_.full = step_ < world_.audit_down;
  }

  // The process dies, sometimes in the middle of a line; the next one leads a new epoch.
  void Restart() {
    if (disk_.full) return;
    if (random_() % 2 == 0) {
      log_->Close();
    } else if (random_() % 2 == 0) {
      disk_.files.rbegin()->second.written += "{\"seq\":";
    }
    LogOptions options;
    options.directory = "log";
    options.identity = "year";
    log_ = std::make_unique<Log>(std::move(options), disk_, checkpoints_, clock_);
    ASSERT_TRUE(log_->Open(++epoch_).ok());
  }

  void Measure() {
    const double day = (step_ % 96) / 96.0;
    const double events = step_ < world_.quiet ? 3 : 500 + 4000 * day * (1 - day);
    const double share = step_ < world_.incident ? world_.incident_errors : 0.0002;
    const std::pair<double, double> slice{events, events * share};
    slices_.push_back(slice);
    total_ += slice.first;
    bad_ += slice.second;
    if (slices_.size() > kWindowSteps) {
      total_ -= slices_.front().first;
      bad_ -= slices_.front().second;
      slices_.pop_front();
    }
  }

  double Share(std::size_t steps) const {
    double total = 0, bad = 0;
    for (std::size_t i = slices_.size() - std::min(steps, slices_.size()); i < slices_.size();
         ++i) {
      total += slices_[i].first;
      bad += slices_[i].second;
    }
    return bad / total;
  }

  Evidence About(const Gate& gate) {
    const base::WallTime now = clock_.Wall();
    if (gate.kind == GateKind::kSoak) {
      Evidence e;
      e.gate = gate.name;
      e.observed_at = now;
      e.soak = SoakFacts{kStages[static_cast<std::size_t>(stage_)], entered_};
      return e;
    }
    std::vector<std::string> values;
    if (gate.kind == GateKind::kSlo) {
      values = {fmt::format("{:.9f}", bad_ / total_)};
    } else {
      values = {fmt::format("{:.9f}", Share(4)), fmt::format("{:.9f}", Share(1))};
    }
    Evidence e = Fresh(gate, values);
    e.observed_at = now;
    e.freshness = {SampleAt(now - seconds(step_ < world_.stale ? 600 : 5))};
    for (WindowEvidence& w : e.windows) {
      w.samples = Answer(std::to_string(static_cast<int>(slices_.back().first)));
      if (step_ < world_.outage) {
        w.value = Broken("connection refused");
      } else if (step_ < world_.odd) {
        w.value = world_.odd_value.empty()    ? Nothing()
                  : world_.odd_value == "two" ? Answer("0.1", 2)
                                              : Answer(world_.odd_value);
      }
    }
    return e;
  }

  std::vector<Gate> GatesInto(int stage) {
    Gate slo = SloGate(), burn = BurnGate(), soak = SoakGate();
    slo.min_budget_remaining = D(stage == 3 ? "0.3" : "0.1");
    slo.min_samples = 100;
    slo.waivable = burn.waivable = true;
    soak.soak = hours(24 * stage);
    for (Gate* gate : {&slo, &burn, &soak}) gate->valid_for = minutes(20);
    if (stage == 1) return {slo, burn};
    return {soak, slo, burn};
  }

  void Climb() {
    if (stage_ == 3) {
      if (Chance(0.4)) Move(1, "lowered");
      return;
    }
    const std::vector<Gate> gates = GatesInto(stage_ + 1);
    std::vector<Evidence> evidence;
    for (const Gate& gate : gates) {
      if (step_ % 7 != 0 || gate.kind != GateKind::kBurnRate) evidence.push_back(About(gate));
    }
    Context context;
    context.exemptions = exemptions_;
    context.freezes = freezes_;
    context.change_class = step_ < world_.urgent ? ChangeClass::kP0 : ChangeClass::kOrdinary;
    context.audit_writable = log_->Ready().ok();
    const base::WallTime now = clock_.Wall();
    StageResult result = Evaluate(gates, evidence, previous_, context, now);
    if (context.audit_writable && !Record(gates, evidence, context, now, result)) {
      context.audit_writable = false;
      result = Evaluate(gates, evidence, previous_, context, now);
    }
    Check(gates, evidence, context, now, result);
    previous_ = result.gates;
    if (result.passed) Move(stage_ + 1, "promoted");
    std::erase_if(exemptions_, [&](const Exemption& e) { return e.expires_at + hours(2) < now; });
    std::erase_if(freezes_, [&](const Freeze& f) { return f.reopens_at + hours(2) < now; });
  }

  bool Record(const std::vector<Gate>& gates, const std::vector<Evidence>& evidence,
              const Context& context, base::WallTime now, const StageResult& result) {
    std::set<std::string> names;
    for (const GateResult& each : previous_) names.insert(each.gate);
    for (const GateResult& each : result.gates) names.insert(each.gate);
    std::vector<Entry> entries;
    for (const std::string& name : names) {
      const StageRecord record = RecordOf(name, gates, evidence, previous_, context, now, result);
      const bool same = record.previous.size() == record.results.size() &&
                        std::equal(record.results.begin(), record.results.end(),
                                   record.previous.begin(), [](const auto& a, const auto& b) {
                                     return a.verdict == b.verdict && a.cause() == b.cause();
                                   });
      if (!same) entries.push_back(VerdictEntry("Site/s", "controller", "Promotion/p", record));
    }
    if (result.passed) {
      entries.push_back(
          {kStageMoved, "Site/s", "ana@example.com",
           fmt::format(R"({{"to":"{}"}})", kStages[static_cast<std::size_t>(stage_ + 1)])});
    }
    return log_->Append(entries, result.passed ? Anchor::kNow : Anchor::kLater).ok();
  }

  void Move(int stage, const std::string&) {
    stage_ = stage;
    entered_ = clock_.Wall();
    previous_.clear();
    ++moves;
    if (stage == 3) ++reached_run;
  }

  void Check(const std::vector<Gate>& gates, const std::vector<Evidence>& evidence,
             const Context& context, base::WallTime now, const StageResult& result) {
    const std::string at = fmt::format("step {}", step_);
    const bool blind = step_ < world_.outage || step_ < world_.stale || step_ < world_.odd;
    for (const GateResult& r : result.gates) {
      for (const CauseDetail& c : r.causes) seen.insert(c.cause);
      // Causes stand in their order, each once.
      ASSERT_TRUE(std::is_sorted(r.causes.begin(), r.causes.end(),
                                 [](const auto& a, const auto& b) { return a.cause < b.cause; }) ||
                  r.cause() == Cause::kExempted)
          << at;
      if (r.verdict != Verdict::kPass) {
        ASSERT_FALSE(r.unblocked_by.empty()) << at << " " << r.gate;
        continue;
      }
      // No Pass is eternal, and none outlives its exemption.
      ASSERT_GT(r.valid_until, now) << at;
      ASSERT_LE(r.valid_until, now + minutes(20)) << at;
      const auto gate =
          std::find_if(gates.begin(), gates.end(), [&](const Gate& g) { return g.name == r.gate; });
      ASSERT_NE(gate, gates.end()) << at << " " << r.gate;
      if (r.cause() == Cause::kExempted) {
        ASSERT_TRUE(std::any_of(context.exemptions.begin(), context.exemptions.end(),
                                [&](const Exemption& e) { return now < e.expires_at; }))
            << at;
        ASSERT_TRUE(r.raw_verdict.has_value() && *r.raw_verdict != Verdict::kPass) << at;
        continue;
      }
      if (gate->kind == GateKind::kSoak) {
        ASSERT_GE(now - entered_, gate->soak) << at;
        continue;
      }
      // Without fresh evidence nothing passes.
      ASSERT_FALSE(blind) << at << " " << r.gate;
      if (gate->kind == GateKind::kSlo) {
        ASSERT_GE(slices_.back().first, 100) << at;
        const double left = 1 - bad_ / total_ / 0.001;
        ASSERT_GE(left, gate->min_budget_remaining.ToDouble() - 1e-4) << at;
        if (context.change_class == ChangeClass::kOrdinary) {
          ASSERT_GE(left, 0.25 - 1e-4) << at;
        }
      } else {
        ASSERT_LT(std::max(Share(4), Share(1)) / 0.001, 1 + 1e-4) << at;
      }
      // What held is left by newer data only.
      const auto before = std::find_if(previous_.begin(), previous_.end(),
                                       [&](const GateResult& p) { return p.gate == r.gate; });
      if (before != previous_.end() && before->verdict != Verdict::kPass && before->data_time) {
        ASSERT_GT(*r.data_time, *before->data_time) << at;
      }
    }
    if (!result.passed) return;
    ASSERT_TRUE(context.audit_writable && !disk_.full) << at;
    ASSERT_EQ(evidence.size(), gates.size()) << at << ": a gate nobody looked at";
    for (const Freeze& freeze : context.freezes) {
      const bool excepted =
          std::count(freeze.exceptions.begin(), freeze.exceptions.end(), context.change_class) > 0;
      ASSERT_TRUE(now >= freeze.reopens_at || excepted) << at;
    }
  }

  std::mt19937 random_;
  std::uniform_real_distribution<double> unit_{0, 1};
  base::FakeClock clock_{kNow};
  fakes::MemoryDisk disk_;
  fakes::MemoryCheckpoints checkpoints_;
  std::unique_ptr<Log> log_;
  int epoch_ = 0;
  int step_ = 0;
  World world_;
  std::vector<Freeze> freezes_;
  std::vector<Exemption> exemptions_;
  std::deque<std::pair<double, double>> slices_;  // events and bad ones of each step, 30 days
  double total_ = 0, bad_ = 0;
  int stage_ = 0;
  base::WallTime entered_{kNow};
  std::vector<GateResult> previous_;
};

TEST(YearSimulation, HoldsItsInvariantsAtEveryStepAndItsLogReplays) {
  const unsigned seed = 365;
  Year year(seed);
  year.Run();
  ASSERT_FALSE(HasFailure()) << "seed " << seed;
  year.Close();
  EXPECT_GT(year.moves, 0);
  const bool whole = kDays == 365;
  if (whole) {
    EXPECT_GT(year.reached_run, 3);
  }
  for (const Cause cause :
       {Cause::kMet, Cause::kExempted, Cause::kMisconfigured, Cause::kAuditUnavailable,
        Cause::kFrozen, Cause::kBudgetExhausted, Cause::kGateFailed, Cause::kBudgetCaution,
        Cause::kRecovering, Cause::kNoData, Cause::kStaleData, Cause::kProviderError,
        Cause::kInsufficientSamples, Cause::kSoaking, Cause::kPending}) {
    if (whole) {
      EXPECT_EQ(year.seen.count(cause), 1U) << CauseName(cause) << " never came up, seed " << seed;
    }
  }
  Replayer replayer;
  std::string file;
  Verifier verifier({.anchor = year.head(), .partial = false},
                    [&](const Line& line) { replayer.Take(file, line); });
  for (const auto& [path, content] : year.disk().files) {
    file = path;
    verifier.BeginFile(path);
    verifier.Add(content.written);
  }
  const Verification& v = verifier.Finish();
  for (const Problem& p : v.problems) ADD_FAILURE() << p.file << ":" << p.line << " " << p.what;
  EXPECT_TRUE(v.anchored);
  EXPECT_GT(v.files, 3U);
  EXPECT_GT(replayer.verdicts(), 50U);
  if (whole) {
    EXPECT_GT(v.files, 30U);
    EXPECT_GT(v.notices.size(), 0U) << "kills in the middle of a line";
    EXPECT_GT(replayer.verdicts(), 500U);
  }
  for (const Problem& p : replayer.problems()) ADD_FAILURE() << p.line << ": " << p.what;
  RecordProperty("moves", year.moves);
  RecordProperty("verdicts", static_cast<int>(replayer.verdicts()));
}

}  // namespace
}  // namespace sluice::audit
