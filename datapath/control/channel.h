// Internal to this folder: how we dial a controller. Include only from .cc files.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "controller/base/status.h"

namespace sluice::control {

// The server must show `server_name` under `roots_pem`, whatever address is dialled. With an empty
// key there is no client certificate (enrolment).
std::shared_ptr<grpc::Channel> Dial(const std::string& target, const std::string& server_name,
                                    const std::string& roots_pem, const std::string& key_pem,
                                    const std::string& certificate_pem);

// Sends core's own log lines through ours, at debug level. Idempotent.
void RouteCoreLog();

// Codes are the same canonical ones.
base::Status FromGrpc(const grpc::Status& status);

}  // namespace sluice::control
