// A client of gRPC's own under a certificate of its choice, for what our agents would never say.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "api/agent/v1/agent.grpc.pb.h"
#include "datapath/control/channel.h"
#include "datapath/control/identity.h"
#include "tests/integration/agents/world.h"

namespace sluice::agents::testing {

// A client that is not our agent: it says what it likes under a certificate of its choice.
struct Rogue {
  Rogue(const CertificateAuthority& authority, const AgentIdentity& identity, base::WallTime from,
        base::Duration life) {
    auto made = *control::MakeRequest();
    key = made.key_pem;
    csr = made.csr_pem;
    certificate = authority.SignAgent(csr, identity, from, life)->certificate_pem;
  }
  std::unique_ptr<agent::v1::AgentControl::Stub> Stub(const Replica& replica,
                                                      const std::string& roots) const {
    return agent::v1::AgentControl::NewStub(
        control::Dial("ipv4:" + replica.control(), "sluice-controller", roots, key, certificate));
  }
  // Says Hello as `node` and returns how the stream ended; `received`: the messages before.
  grpc::Status Connect(const Replica& replica, const std::string& roots, const std::string& node,
                       std::vector<agent::v1::ControllerMessage>& received) const {
    const auto stub = Stub(replica, roots);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(15));
    const auto stream = stub->Connect(&context);
    agent::v1::AgentMessage hello;
    hello.mutable_hello()->set_site("phoenix");
    hello.mutable_hello()->set_node(node);
    stream->Write(hello);
    agent::v1::ControllerMessage message;
    while (stream->Read(&message)) received.push_back(message);
    return stream->Finish();
  }
  grpc::Status Renew(const Replica& replica, const std::string& roots) const {
    const auto stub = Stub(replica, roots);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    agent::v1::RenewRequest request;
    request.set_csr_pem(csr);
    agent::v1::Identity answer;
    return stub->Renew(&context, request, &answer);
  }
  std::string key, csr, certificate;
};

}  // namespace sluice::agents::testing
