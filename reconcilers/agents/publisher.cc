#include "reconcilers/agents/publisher.h"

#include <fmt/format.h>

#include <mutex>
#include <utility>

#include "controller/base/log.h"
#include "reconcilers/agents/content.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {

using base::Status;
using base::StatusOr;

struct ConfigPublisher::Impl {
  struct Site {
    std::shared_ptr<const Derived> latest;   // from this replica's cache
    std::shared_ptr<const Derived> matched;  // the last that the record named
    std::shared_ptr<const Served> served;    // null: offer nothing
  };

  Impl(EpochStore& epoch_store, std::string key) : store(epoch_store), hash_key(std::move(key)) {}

  EpochStore& store;
  const std::string hash_key;

  std::mutex notify_mutex;  // held while the listener runs, so that it can be taken away safely
  std::function<void(const std::string&)> changed;  // guarded by notify_mutex

  std::mutex io_mutex;            // serialises writers; taken before `mutex`
  EpochStore::Versioned written;  // guarded by io_mutex: the object as we last saw it

  mutable std::mutex mutex;
  EpochRecord record;        // guarded by mutex, as all below
  std::optional<Lead> lead;  // while leading
  std::map<std::string, Site> sites;

  std::function<void()> fenced;  // set before use

  bool Refresh(Site& site, const std::string& name);
  Status WriteBack();
  void Adopt(const EpochRecord& next);
  Status Swap(const std::function<StatusOr<EpochRecord>(const EpochRecord&, std::int64_t)>& change,
              bool& wrote);
  void Notify(const std::vector<std::string>& names) {
    const std::lock_guard lock(notify_mutex);
    if (!changed) return;
    for (const auto& name : names) changed(name);
  }
};

// Rules 1 and 2 of the header. True when the offer changed. `mutex` is held.
bool ConfigPublisher::Impl::Refresh(Site& site, const std::string& name) {
  const auto published = record.sites.find(name);
  const auto before = site.served;
  if (published == record.sites.end()) {
    site.served = nullptr;
    return before != nullptr;
  }
  const auto& [epoch_of, revision, digest] = published->second;
  if (site.latest && site.latest->digest == digest) site.matched = site.latest;
  if (!site.matched || site.matched->digest != digest) {
    site.served = nullptr;
    return before != nullptr;
  }
  const Order order{record.lineage, epoch_of, revision};
  if (before && before->order == order && before->digest == digest) return false;
  site.served = Serve(record, order, *site.matched);
  return true;
}

void ConfigPublisher::Impl::Adopt(const EpochRecord& next) {
  std::vector<std::string> names;
  {
    const std::lock_guard lock(mutex);
    if (!Follows(record, next) || record == next) return;
    record = next;
    for (auto& [name, site] : sites) {
      if (Refresh(site, name)) names.push_back(name);
    }
  }
  Notify(names);
}

// Applies `change` to the newest record by compare-and-swap; `io_mutex` is held.
Status ConfigPublisher::Impl::Swap(
    const std::function<StatusOr<EpochRecord>(const EpochRecord&, std::int64_t)>& change,
    bool& wrote) {
  Lead mine;
  {
    const std::lock_guard lock(mutex);
    if (!lead) return base::OkStatus();
    mine = *lead;
  }
  for (int attempt = 0; attempt < kMaxCompareAndSwapTries; ++attempt) {
    auto next = change(written.record, mine.epoch);
    if (!next.ok()) {
      if (next.status().reason() == "Fenced") {
        bool lost = false;
        {
          const std::lock_guard lock(mutex);
          lost = lead == mine;
          if (lost) lead.reset();
        }
        if (lost && fenced) fenced();
      }
      Adopt(written.record);
      return next.status();
    }
    if (*next == written.record) {
      Adopt(written.record);  // perhaps by a write of ours whose answer was lost
      return base::OkStatus();
    }
    auto result = store.Write(*next, written.resource_version);
    if (result.ok()) {
      written = std::move(result).value();
      wrote = true;
      Adopt(written.record);
      return base::OkStatus();
    }
    const auto code = result.status().code();
    if (code != base::Code::kAborted && code != base::Code::kAlreadyExists) return result.status();
    SLUICE_ASSIGN_OR_RETURN(auto read, store.Read());
    if (read) {
      written = *std::move(read);
      continue;
    }
    const Status back = WriteBack();
    if (!back.ok() && back.code() != base::Code::kAborted) return back;
    const std::lock_guard lock(mutex);
    if (!lead) return base::OkStatus();
    mine = *lead;
  }
  return base::Aborted("the epoch object changed under every try").WithReason("Conflict");
}

// The object is gone and this replica leads; `io_mutex` is held. Nobody else knows what agents have
// seen, and `written` is the highest of it: only the leader publishes.
// Errors: Aborted (somebody else wrote one first); the store's.
Status ConfigPublisher::Impl::WriteBack() {
  const EpochRecord next = agents::TakeOver(written.record, "", written.record.holder);
  // Before the write: the watch may show it before its answer comes, and it is no stranger's.
  std::optional<Lead> before;
  const Lead after{next.lineage, next.epoch};
  {
    const std::lock_guard lock(mutex);
    before = lead;
    if (lead) lead = after;
  }
  auto result = store.Write(next, "");
  if (!result.ok()) {
    const std::lock_guard lock(mutex);
    if (lead == after) lead = before;
    const bool race = result.status().code() == base::Code::kAlreadyExists;
    return race ? base::Aborted("another record was written").WithReason("Conflict")
                : result.status();
  }
  base::log::Warn("epoch object was deleted, written back",
                  {{"lineage", next.lineage}, {"epoch", next.epoch}});
  written = std::move(result).value();
  Adopt(written.record);
  return base::OkStatus();
}

ConfigPublisher::ConfigPublisher(EpochStore& store, std::string hash_key)
    : impl_(std::make_unique<Impl>(store, std::move(hash_key))) {}
ConfigPublisher::~ConfigPublisher() = default;

StatusOr<std::int64_t> ConfigPublisher::TakeOver(const std::string& cluster_uid,
                                                 const std::string& holder) {
  const std::lock_guard io(impl_->io_mutex);
  StepDown();  // what the watch shows of this must not look like another's
  for (int attempt = 0; attempt < kMaxCompareAndSwapTries; ++attempt) {
    SLUICE_ASSIGN_OR_RETURN(auto current, impl_->store.Read());
    std::optional<EpochRecord> before;
    if (current) {
      before = current->record;
    } else if (EpochRecord seen = record(); !seen.lineage.empty()) {
      before = std::move(seen);
    }
    const EpochRecord next = agents::TakeOver(before, cluster_uid, holder);
    auto result = impl_->store.Write(next, current ? current->resource_version : "");
    if (!result.ok()) {
      const auto code = result.status().code();
      if (code == base::Code::kAborted || code == base::Code::kAlreadyExists) continue;
      return result.status();
    }
    impl_->written = std::move(result).value();
    {
      const std::lock_guard lock(impl_->mutex);
      impl_->lead = {impl_->written.record.lineage, impl_->written.record.epoch};
    }
    impl_->Adopt(impl_->written.record);
    base::log::Info("epoch raised",
                    {{"lineage", next.lineage}, {"epoch", next.epoch}, {"holder", holder}});
    return next.epoch;
  }
  return base::Aborted("the epoch object changed under every try").WithReason("Conflict");
}

void ConfigPublisher::StepDown() {
  const std::lock_guard lock(impl_->mutex);
  impl_->lead.reset();
}

bool ConfigPublisher::leading() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->lead.has_value();
}

StatusOr<PublishedState> ConfigPublisher::Publish(const std::string& site,
                                                  const SiteContent& content) {
  SLUICE_ASSIGN_OR_RETURN(auto derived, Derive(site, content, impl_->hash_key));
  const std::lock_guard io(impl_->io_mutex);
  bool changed = false;
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->sites.contains(site) && impl_->sites.size() >= kMaxSites) {
      return base::ResourceExhausted(fmt::format("{} sites are known already", kMaxSites));
    }
    Impl::Site& entry = impl_->sites[site];
    if (!entry.latest || entry.latest->digest != derived->digest) entry.latest = derived;
    changed = impl_->Refresh(entry, site);
  }
  if (changed) impl_->Notify({site});

  PublishedState state;
  SLUICE_RETURN_IF_ERROR(impl_->Swap(
      [&](const EpochRecord& current, std::int64_t epoch) {
        return agents::Publish(current, epoch, site, derived->digest);
      },
      state.wrote));
  const std::lock_guard lock(impl_->mutex);
  state.version = derived->version;
  const auto& served = impl_->sites[site].served;
  state.published = served && served->digest == derived->digest;
  if (state.published) state.order = served->order;
  return state;
}

Status ConfigPublisher::Retire(const std::string& site) {
  const std::lock_guard io(impl_->io_mutex);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->sites.erase(site);
  }
  impl_->Notify({site});
  bool wrote = false;
  return impl_->Swap([&](const EpochRecord& current,
                         std::int64_t epoch) { return agents::Retire(current, epoch, site); },
                     wrote);
}

void ConfigPublisher::Observe(const EpochRecord& record) {
  bool lost = false;
  {
    const std::lock_guard lock(impl_->mutex);
    lost = impl_->lead && Deposes(record, *impl_->lead);
    if (lost) impl_->lead.reset();
  }
  if (lost && impl_->fenced) impl_->fenced();
  impl_->Adopt(record);
}

Status ConfigPublisher::Restore() {
  const std::lock_guard io(impl_->io_mutex);
  if (!leading()) return base::OkStatus();
  SLUICE_ASSIGN_OR_RETURN(const auto current, impl_->store.Read());
  if (current) return base::OkStatus();  // it is there again
  const Status back = impl_->WriteBack();
  return back.code() == base::Code::kAborted ? base::OkStatus() : back;
}

void ConfigPublisher::OnFenced(std::function<void()> fenced) { impl_->fenced = std::move(fenced); }

EpochRecord ConfigPublisher::record() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->record;
}

std::optional<Offer> ConfigPublisher::OfferFor(const std::string& site,
                                               const std::string& node) const {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->sites.find(site);
  if (found == impl_->sites.end() || !found->second.served) return std::nullopt;
  const Served& served = *found->second.served;
  const auto own = served.per_node.find(node);
  return own == served.per_node.end() ? served.common : own->second;
}

std::string ConfigPublisher::OfferedVersion(const std::string& site) const {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->sites.find(site);
  if (found == impl_->sites.end() || !found->second.served) return "";
  return found->second.served->common.version;
}

void ConfigPublisher::SetListener(std::function<void(const std::string& site)> changed) {
  const std::lock_guard lock(impl_->notify_mutex);
  impl_->changed = std::move(changed);
}

}  // namespace sluice::agents
