// What the reconciler writes, each thing once and after its entry in the audit log: a Promotion's
// verdicts and its end, the Site's stage, and our part of the Site's status.
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "controller/base/log.h"
#include "reconcilers/audit/use_entry.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/status_write.h"
#include "reconcilers/promotion/look.h"
#include "reconcilers/promotion/records.h"
#include "reconcilers/promotion/site_status.h"
#include "reconcilers/promotion/world.h"

namespace sluice::promotion {

using nlohmann::json;

namespace {

const json* ItemOf(const json& list, const char* key, const json& wanted) {
  for (const json& item : list) {
    if (item.is_object() && item.value(key, json()) == wanted.value(key, json())) return &item;
  }
  return nullptr;
}

// Whether the Site's status already says our part; other controllers' entries may stand beside it.
bool Says(const json& status, const json& part) {
  for (const auto& [name, value] : part.items()) {
    const bool list = name == "blockedBy" || name == "conditions";
    if (!list && status.value(name, json()) != value) return false;
    if (!list) continue;
    const char* key = name == "blockedBy" ? "gate" : "type";
    const json entries = status.value(name, json::array());
    for (const json& item : value) {
      const json* live = ItemOf(entries, key, item);
      if (live == nullptr || *live != item) return false;
    }
  }
  return true;
}

}  // namespace

base::Status PromotionReconciler::Record(const std::vector<audit::Entry>& entries,
                                         audit::Anchor anchor) {
  const base::Status status = audit_.Append(entries, anchor);
  if (status.ok()) return status;
  base::log::Error("audit log refused an entry, nothing moves", {{"error", status}});
  return base::Unavailable("the audit log cannot be written: " + status.message())
      .WithReason(kAuditUnavailable);
}

base::Status PromotionReconciler::RecordLook(const World& world, const Look& look) {
  std::vector<audit::Entry> entries;
  bool waives = false;
  const std::string site = "Site/" + world.view.name;
  const std::string object = "Promotion/" + world.step.promotion;
  for (const gates::StageRecord& record : look.changed) {
    entries.push_back(audit::VerdictEntry(site, "controller", object, record));
    for (audit::Entry& use : audit::UseEntries(site, "controller", object, record)) {
      waives = waives || use.type == audit::kExemptionUsed;
      entries.push_back(std::move(use));
    }
  }
  if (look.result.passed) entries.push_back(MoveOf(world.view, world.step, world.step.promotion));
  // What moves a stage or waives a gate is in a checkpoint before it is done.
  return Record(entries,
                look.result.passed || waives ? audit::Anchor::kNow : audit::Anchor::kLater);
}

base::Status PromotionReconciler::WriteStatus(const meta::Object& promotion,
                                              const v1alpha1::PromotionStatus& status) {
  const auto answer = common::WriteStatus(api_, common::kPromotions, promotion,
                                          types::ToJson(status).dump(), kFieldManager);
  if (!answer.ok()) return answer.status();
  stores_.promotions.ExpectAtLeast(**answer);
  return base::OkStatus();
}

base::Status PromotionReconciler::End(const meta::Object& promotion, const std::string& outcome,
                                      const std::string& message) {
  // From the API server: our own last write of verdicts may not have come back by the watch.
  auto live = api_.Get(common::kPromotions, promotion.key());
  if (!live.ok()) {
    return live.status().code() == base::Code::kNotFound ? base::OkStatus() : live.status();
  }
  SLUICE_ASSIGN_OR_RETURN(const auto decoded, common::Decode<v1alpha1::Promotion>(**live));
  if (!decoded->status().outcome().empty()) return base::OkStatus();
  SiteView about;
  about.name = decoded->spec().site_ref().name();
  SLUICE_RETURN_IF_ERROR(Record({EntryOf(audit::kPromotionEnded, about, "controller",
                                         {{"promotion", promotion.name()},
                                          {"to", decoded->spec().to()},
                                          {"outcome", outcome},
                                          {"message", message}})},
                                audit::Anchor::kLater));
  const auto status =
      Ended(decoded->status(), (*live)->generation(), outcome, message, clock_.Wall());
  status->set_audit_head(audit_.HeadHash());
  SLUICE_RETURN_IF_ERROR(WriteStatus(**live, *status));
  Tell(**live, common::kPromotions,
       outcome == "Promoted" ? recorder::Type::kNormal : recorder::Type::kWarning,
       outcome == "Promoted"  ? "Promoted"
       : outcome == "Aborted" ? "Aborted"
                              : "Superseded",
       message);
  return base::OkStatus();
}

base::Status PromotionReconciler::SetStage(const World& world, const std::string& stage,
                                           const std::string& reason, const std::string& how) {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr live,
                          api_.Get(common::kSites, world.object->key()));
  if (live->uid() != world.object->uid() || live->generation() != world.view.generation) {
    return base::Aborted("the site changed while it was judged").WithReason("Conflict");
  }
  SLUICE_ASSIGN_OR_RETURN(const auto site, common::Decode<v1alpha1::Site>(*live));
  if (site->status().stage() != world.view.reached) {
    return base::Aborted("the site's stage moved meanwhile").WithReason("Conflict");
  }
  const json part = SitePartAt(world.view, stage, reason, how, site->status(), clock_.Wall());
  SLUICE_RETURN_IF_ERROR(ApplySitePart(*live, part));
  base::log::Info("stage set", {{"site", world.view.name}, {"stage", stage}, {"reason", reason}});
  Tell(*world.object, common::kSites, recorder::Type::kNormal, "StageReached", how);
  return base::OkStatus();
}

base::Status PromotionReconciler::WriteSitePart(const World& world,
                                                const v1alpha1::PromotionStatus* open) {
  const json part = SitePart(world.view, world.step, world.site->status(), open, clock_.Wall());
  const std::string text = part.dump();
  {
    const std::lock_guard lock(mutex_);
    const auto found = applied_.find(world.view.name);
    const json status = world.object->ToJson().value("status", json::object());
    if (found != applied_.end() && found->second == text && Says(status, part)) return {};
  }
  return ApplySitePart(*world.object, part);
}

// The resourceVersion that was read is a precondition: a part worked out from an older state of the
// Site is never written over a newer stage.
base::Status PromotionReconciler::ApplySitePart(const meta::Object& site, const json& part) {
  std::string text = part.dump();
  const auto answer = common::WriteStatus(api_, common::kSites, site, text, kFieldManager,
                                          common::StatusPrecondition::kSameVersion);
  if (!answer.ok()) return answer.status();
  stores_.sites.ExpectAtLeast(**answer);
  const std::lock_guard lock(mutex_);
  applied_[std::string(site.name())] = std::move(text);
  return base::OkStatus();
}

void PromotionReconciler::Tell(const meta::Object& about, const meta::Resource& resource,
                               recorder::Type type, const char* reason, const std::string& note) {
  recorder_.Record(recorder::ReferenceTo(resource, about), type, reason, note);
}

}  // namespace sluice::promotion
