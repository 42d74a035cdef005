// Where an API server reads whom it may trust: the caBundle of webhook configurations and of a
// CustomResourceDefinition's conversion. Written by server-side apply, caBundle alone, so that the
// rest stays with whoever installed it. Thread rule: any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "controller/base/status.h"
#include "controller/client/client.h"

namespace sluice::certs {

struct Target {
  enum class Kind { kValidatingWebhook, kMutatingWebhook, kConversion };
  Kind kind = Kind::kValidatingWebhook;
  std::string name;  // of the configuration or the CustomResourceDefinition
  // One webhook of the configuration (several: a target each); empty: all of it is ours.
  std::string webhook;
};

// The targets of each object together, in their order.
std::vector<std::vector<Target>> ByObject(const std::vector<Target>& targets);

// `targets`: all of one object, since a manager gives up what its next apply does not name. True
// when it wrote, false when the bundle is in place already or there is no such object (nobody calls
// us by it then). Errors: the client's; FailedPrecondition: a CustomResourceDefinition whose
// conversion is not by webhook; DataLoss: an object that is not of the form of its kind.
base::StatusOr<bool> Inject(client::Reader& reader, client::Writer& writer,
                            std::span<const Target> targets, const std::string& bundle_pem,
                            const std::string& field_manager);

}  // namespace sluice::certs
