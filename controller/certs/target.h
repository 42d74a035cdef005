// Where an API server reads whom it may trust: the caBundle of webhook configurations and of a
// CustomResourceDefinition's conversion. Written by server-side apply, caBundle alone, so that the
// rest stays with whoever installed it. Thread rule: any thread.
#pragma once

#include <string>

#include "controller/base/status.h"
#include "controller/client/client.h"

namespace sluice::certs {

struct Target {
  enum class Kind { kValidatingWebhook, kMutatingWebhook, kConversion };
  Kind kind = Kind::kValidatingWebhook;
  std::string name;  // of the configuration or the CustomResourceDefinition
  // One webhook of the configuration; empty: all of it is ours.
  std::string webhook;
};

// True when it wrote, false when the bundle is in place already or there is no such object (nobody
// calls us by it then). Errors: the client's; FailedPrecondition: a CustomResourceDefinition whose
// conversion is not by webhook.
base::StatusOr<bool> Inject(client::Reader& reader, client::Writer& writer, const Target& target,
                            const std::string& bundle_pem, const std::string& field_manager);

}  // namespace sluice::certs
