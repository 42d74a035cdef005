// The gRPC form of an external gate: one call of sluice.check.v1.Check/Evaluate, as bounded as the
// HTTP form. grpcs:// verifies the server's certificate and name; grpc:// is plain text, as http://
// is. No proxy of the environment, no service configuration from DNS, no retries: the address that
// was allowed is the one that is asked, once.
//
// Thread rule: any thread. How it stops: Ask blocks at most for the question's `timeout`; its stop
// token ends it at once.
#pragma once

#include "reconcilers/gates/external_check.h"

namespace sluice::gates {

class GrpcCheck final : public ExternalTransport {
 public:
  ExternalFacts Ask(const ExternalQuestion& question, const http::Url& address,
                    const std::string& ca_pem, std::stop_token stop) override;
};

}  // namespace sluice::gates
