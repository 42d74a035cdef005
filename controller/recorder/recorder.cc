#include "controller/recorder/recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/base/time_format.h"
#include "controller/recorder/limits.h"

namespace sluice::recorder {

namespace log = base::log;
using base::MonoTime;
using nlohmann::json;

namespace {

const meta::Resource kEvents{"events.k8s.io", "v1", "Event", "events", true};

using SeriesKey = std::tuple<std::string, std::string, Type, std::string, std::string>;

struct Series {
  Reference regarding;
  Type type = Type::kNormal;
  std::string reason, note, action;
  std::string event_name;
  base::WallTime first{}, last{};
  MonoTime last_mono{};
  std::int64_t count = 0;
  std::int64_t written = 0;  // count that the server has
  MonoTime not_before{};
  int attempts = 0;
  bool pending = false;
};

struct Bucket {
  double tokens = kBurstPerObject;
  MonoTime at{};
};

// Cuts at a character's edge.
std::string Cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  std::size_t end = bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

// Events about cluster-scoped objects live in "default"; the API demands it.
meta::Key EventKey(const Series& series) {
  return {series.regarding.ns.empty() ? "default" : series.regarding.ns, series.event_name};
}

json Body(const Series& series, const Options& options) {
  const meta::Key key = EventKey(series);
  const Reference& about = series.regarding;
  json body = {{"apiVersion", kEvents.ApiVersion()},
               {"kind", kEvents.kind},
               {"metadata", {{"name", key.name}, {"namespace", key.ns}}},
               {"eventTime", base::FormatRfc3339Micro(series.first)},
               {"reportingController", options.controller},
               {"reportingInstance", Cut(options.instance, 128)},
               {"action", series.action},
               {"reason", series.reason},
               {"note", series.note},
               {"type", series.type == Type::kWarning ? "Warning" : "Normal"},
               {"regarding",
                {{"apiVersion", about.api_version},
                 {"kind", about.kind},
                 {"name", about.name},
                 {"uid", about.uid}}}};
  if (!about.ns.empty()) body["regarding"]["namespace"] = about.ns;
  return body;
}

json SeriesPart(const Series& series) {
  return {{"series",
           {{"count", std::max<std::int64_t>(2, series.count)},
            {"lastObservedTime", base::FormatRfc3339Micro(series.last)}}}};
}

class RecorderImpl final : public EventRecorder {
 public:
  RecorderImpl(Options options, client::Writer& writer, base::Clock& clock,
               base::metrics::Registry& registry)
      : options_(std::move(options)),
        writer_(writer),
        clock_(clock),
        dropped_(registry.GetCounter("sluice_events_dropped_total",
                                     "Events not written: filtered, too many, or refused.")),
        written_(registry.GetCounter("sluice_events_written_total", "Events written.")) {}
  ~RecorderImpl() override { Stop(); }

  void Start() override {
    SLUICE_CHECK(!thread_.joinable());
    thread_ = std::thread([this] { Run(); });
  }

  void Stop() override {
    {
      const std::lock_guard lock(mutex_);
      if (!stopping_) stop_by_ = clock_.Mono() + kDrain;
      stopping_ = true;
      wake_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  void Record(const Reference& regarding, Type type, std::string_view reason, std::string_view note,
              std::string_view action) override {
    const MonoTime now = clock_.Mono();
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    SeriesKey key{regarding.uid, regarding.kind + "/" + regarding.ns + "/" + regarding.name, type,
                  std::string(reason), Cut(note, kMaxNoteBytes)};
    auto found = series_.find(key);
    if (found != series_.end() && !found->second.pending &&
        now - found->second.last_mono > kSeriesLife) {
      series_.erase(found);
      found = series_.end();
    }
    if (found == series_.end()) {
      if (!TakeToken(regarding.uid, now) || pending_.size() >= kMaxPending || !MakeRoom()) {
        dropped_.Add();
        return;
      }
      found = series_.emplace(key, Series{}).first;
      Series& fresh = found->second;
      fresh.regarding = regarding;
      fresh.type = type;
      fresh.reason = std::string(reason);
      fresh.note = std::get<4>(key);
      fresh.action = std::string(action.empty() ? reason : action);
      fresh.event_name = fmt::format(
          "{}.{:x}", Cut(regarding.name, 200),
          static_cast<std::uint64_t>(clock_.Wall().time_since_epoch().count()) + ++sequence_);
      fresh.first = clock_.Wall();
      fresh.not_before = now;
    }
    Series& series = found->second;
    ++series.count;
    series.last = clock_.Wall();
    series.last_mono = now;
    if (!series.pending) {
      series.pending = true;
      pending_.push_back(key);
    }
    wake_.notify_all();
  }

 private:
  bool TakeToken(const std::string& uid, MonoTime now) {
    if (buckets_.size() >= kMaxSeries) buckets_.clear();  // coarse, bounded, and only a filter
    auto [at, fresh] = buckets_.try_emplace(uid);
    Bucket& bucket = at->second;
    if (!fresh) {
      const double passed = std::chrono::duration<double>(now - bucket.at).count();
      const double refill = std::chrono::duration<double>(kRefillPerObject).count();
      bucket.tokens = std::min<double>(kBurstPerObject, bucket.tokens + passed / refill);
    }
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  // Forgets the series that was quiet longest when there are too many.
  bool MakeRoom() {
    if (series_.size() < kMaxSeries) return true;
    auto oldest = series_.end();
    for (auto at = series_.begin(); at != series_.end(); ++at) {
      if (at->second.pending) continue;
      if (oldest == series_.end() || at->second.last_mono < oldest->second.last_mono) oldest = at;
    }
    if (oldest == series_.end()) return false;
    series_.erase(oldest);
    return true;
  }

  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      const MonoTime now = clock_.Mono();
      const auto due = std::find_if(pending_.begin(), pending_.end(), [&](const SeriesKey& key) {
        return stopping_ || series_.at(key).not_before <= now;
      });
      if (due != pending_.end() && !(stopping_ && now >= stop_by_)) {
        const SeriesKey key = *due;
        pending_.erase(due);
        WriteOne(lock, key);
        continue;
      }
      if (stopping_) break;
      MonoTime next = now + std::chrono::hours(1);
      for (const auto& key : pending_) next = std::min(next, series_.at(key).not_before);
      const std::size_t known = pending_.size();
      clock_.WaitUntil(lock, wake_, next, [&] { return stopping_ || pending_.size() != known; });
    }
    dropped_.Add(static_cast<double>(pending_.size()));
    pending_.clear();
  }

  // Called and returns with the lock held; writes without it.
  void WriteOne(std::unique_lock<std::mutex>& lock, const SeriesKey& key) {
    Series copy = series_.at(key);
    lock.unlock();
    base::Status status;
    if (copy.written == 0) {
      json body = Body(copy, options_);
      if (copy.count > 1) body.update(SeriesPart(copy));
      const auto made = writer_.Create(kEvents, body);
      if (!made.ok() && made.status().code() != base::Code::kAlreadyExists) status = made.status();
    } else {
      const auto patched =
          writer_.Patch(kEvents, EventKey(copy), client::PatchType::kMerge, SeriesPart(copy));
      if (!patched.ok()) status = patched.status();
    }
    lock.lock();
    // The client was stopped: nothing more will be written.
    if (stopping_ && status.code() == base::Code::kCancelled) stop_by_ = clock_.Mono();
    const auto found = series_.find(key);
    if (found == series_.end()) return;
    Series& series = found->second;
    series.pending = false;
    if (status.ok()) {
      written_.Add();
      series.attempts = 0;
      series.written = copy.count;
      series.not_before = clock_.Mono() + kSeriesFlush;
    } else if (status.code() == base::Code::kNotFound && copy.written > 0) {
      series.written = 0;  // the server forgot it: make it anew
      series.event_name += "x";
    } else if (!base::IsRetryable(status) || ++series.attempts >= kMaxAttempts) {
      log::Warn("event was not written", {{"error", status}, {"reason", series.reason}});
      dropped_.Add();
      series_.erase(found);
      return;
    } else {
      series.not_before = clock_.Mono() + std::chrono::seconds(1 << series.attempts);
    }
    if (series.count > series.written) {
      series.pending = true;
      pending_.push_back(key);
    }
  }

  const Options options_;
  client::Writer& writer_;
  base::Clock& clock_;
  base::metrics::Counter& dropped_;
  base::metrics::Counter& written_;

  std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_:
  std::map<SeriesKey, Series> series_;
  std::map<std::string, Bucket> buckets_;
  std::deque<SeriesKey> pending_;
  std::uint64_t sequence_ = 0;
  bool stopping_ = false;
  MonoTime stop_by_{};

  std::thread thread_;
};

}  // namespace

Reference ReferenceTo(const meta::Resource& resource, const meta::Object& object) {
  return {resource.ApiVersion(), resource.kind, std::string(object.ns()),
          std::string(object.name()), std::string(object.uid())};
}

std::unique_ptr<EventRecorder> EventRecorder::New(Options options, client::Writer& writer,
                                                  base::Clock& clock,
                                                  base::metrics::Registry& registry) {
  return std::make_unique<RecorderImpl>(std::move(options), writer, clock, registry);
}

}  // namespace sluice::recorder
