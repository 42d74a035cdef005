#include "controller/client/throttle.h"

#include <algorithm>

#include "controller/client/limits.h"

namespace sluice::client {
namespace {

const std::string kNone = "none";
const std::string kOther = "other";

// The next segment of a path that begins with '/'; the path is cut behind it.
std::string_view TakeSegment(std::string_view* path) {
  if (!path->starts_with('/')) return {};
  const std::size_t end = std::min(path->find('/', 1), path->size());
  const std::string_view segment = path->substr(1, end - 1);
  path->remove_prefix(end);
  return segment;
}

bool IsLease(const std::string& kind) {
  return kind.ends_with("/leases") && kind.find(" /apis/coordination.k8s.io/") != std::string::npos;
}

void Lengthen(const Throttle::Hold& by, Throttle::Hold* hold) {
  if (by.until > hold->until) *hold = by;
}

}  // namespace

std::string Throttle::KindOf(std::string_view method, std::string_view target) {
  const std::size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, question);
  const std::string_view query = target.substr(question);
  const bool watch = query.starts_with("?watch=1") || query.find("&watch=1") != query.npos;
  const std::string_view root = TakeSegment(&path);
  std::string place = "/";
  place.append(root);
  const int versions = root == "apis" ? 2 : root == "api" ? 1 : 0;  // group, version
  for (int i = 0; i < versions && !path.empty(); ++i) place.append("/").append(TakeSegment(&path));
  if (versions > 0 && !path.empty()) {
    std::string_view resource = TakeSegment(&path);
    std::string_view inside = path;
    TakeSegment(&inside);  // the namespace's name
    if (resource == "namespaces" && inside.size() > 1) {
      resource = TakeSegment(&inside);
      path = inside;
    }
    place.append("/").append(resource);
    if (method == "GET" && path.empty()) method = "LIST";
  }
  if (watch) method = "WATCH";
  std::string kind(method);
  kind.append(" ").append(place);
  return kind.size() <= kMaxThrottleKindBytes ? kind : std::string();
}

const std::string& Throttle::NameOf(std::string_view level) {
  if (const auto known = levels_.find(level); known != levels_.end()) return known->first;
  const bool good =
      level.size() <= kMaxPriorityLevelBytes && std::all_of(level.begin(), level.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-';
      });
  if (!good || levels_.size() >= kMaxPriorityLevels) return kOther;
  return levels_.try_emplace(std::string(level)).first->first;
}

const std::string& Throttle::Heard(const std::string& kind, std::string_view level) {
  if (level.empty()) return kNone;  // a proxy's own answer unlearns nothing
  const auto known = kinds_.find(kind);
  if (known != kinds_.end() && known->second.level == level) return known->second.level;
  const std::string& name = NameOf(level);
  if (kind.empty()) return name;
  if (known != kinds_.end()) {
    known->second.level = name;
  } else if (kinds_.size() < kMaxThrottleKinds) {
    kinds_[kind].level = name;
  }
  return name;
}

const Throttle::Hold* Throttle::HoldOf(const std::string& kind) const {
  if (IsLease(kind)) return nullptr;
  const Hold* longest = &all_;
  if (const auto known = kinds_.find(kind); known != kinds_.end()) {
    if (known->second.hold.until > longest->until) longest = &known->second.hold;
    const auto level = levels_.find(known->second.level);
    if (level != levels_.end() && level->second.until > longest->until) longest = &level->second;
  }
  return longest;
}

void Throttle::Refused(const std::string& kind, const Hold& asked, bool by_handler,
                       base::MonoTime now) {
  Hold hold = asked;
  hold.until = std::min<base::MonoTime>(hold.until, now + kMaxHold);
  if (by_handler) {
    const auto known = kinds_.find(kind);
    if (known != kinds_.end()) {
      Lengthen(hold, &known->second.hold);
    } else if (!kind.empty() && kinds_.size() < kMaxThrottleKinds) {
      kinds_[kind].hold = std::move(hold);
    }
  } else if (hold.level == kNone || hold.code != 429) {
    Lengthen(hold, &all_);
  } else {
    Lengthen(hold, &levels_[hold.level]);  // Heard made it, or "other", which is one more at most
  }
}

}  // namespace sluice::client
