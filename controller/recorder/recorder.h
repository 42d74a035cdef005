// Events (events.k8s.io/v1) about objects, written in the background.
//
// Record() returns at once and cannot fail. An Event equal to an earlier one (same object, type,
// reason, note) raises that one's series instead of making another. Record on transitions only: a
// reconciler that records on every run fills the filter and is cut short.
//
// Errors: nobody is told. An Event that the API server does not take is tried again a few times
// (kMaxAttempts) when that may help, then left out: logged, and counted in
// sluice_events_dropped_total, as those are that the filter or a full queue leaves out.
//
// Thread rule: Record from any thread; Start and Stop from the owner's. Stop: intake ends, what
// waits is written for at most kDrain, the thread is joined.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/client/client.h"
#include "controller/meta/object.h"

namespace sluice::recorder {

// What an Event is about.
struct Reference {
  std::string api_version;
  std::string kind;
  std::string ns;
  std::string name;
  std::string uid;
};
Reference ReferenceTo(const meta::Resource& resource, const meta::Object& object);

enum class Type { kNormal, kWarning };

class Recorder {
 public:
  virtual ~Recorder() = default;
  // `reason`: CamelCase word, for programs ("StageReached"). `note`: a sentence, for people; never
  // a secret. `action`: what was done or tried, CamelCase; the reason when empty.
  virtual void Record(const Reference& regarding, Type type, std::string_view reason,
                      std::string_view note, std::string_view action = {}) = 0;
};

struct Options {
  std::string controller;  // "example.com/widget-controller"
  std::string instance;    // of this replica
};

class EventRecorder : public Recorder {
 public:
  static std::unique_ptr<EventRecorder> New(Options options, client::Writer& writer,
                                            base::Clock& clock, base::metrics::Registry& registry);
  virtual void Start() = 0;
  virtual void Stop() = 0;
};

}  // namespace sluice::recorder
