#include "datapath/control/channel.h"

#include <grpc/support/log.h>

#include "controller/base/log.h"
#include "datapath/control/limits.h"

namespace sluice::control {

namespace {

int Milliseconds(std::chrono::milliseconds time) { return static_cast<int>(time.count()); }

}  // namespace

void RouteCoreLog() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    base::log::Debug("grpc core",
                     {{"file", line->file}, {"line", line->line}, {"message", line->message}});
  });
}

std::shared_ptr<grpc::Channel> Dial(const std::string& target, const std::string& server_name,
                                    const std::string& roots_pem, const std::string& key_pem,
                                    const std::string& certificate_pem) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = roots_pem;
  tls.pem_private_key = key_pem;
  tls.pem_cert_chain = certificate_pem;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(server_name);
  arguments.SetMaxReceiveMessageSize(kMaxDownwardMessageBytes);
  // Each dial is a connection of its own, with the certificate of now; retrying is our business.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // That the way is cut, the kernel tells: what was said (health, once a minute) may go
  // unacknowledged for kUnanswered. A ping finds out a controller that hangs; each costs it as much
  // as a Health.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kPingInterval));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kUnanswered));
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a proxy in the environment is not for us
  arguments.SetServiceConfigJSON("{}");
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  return grpc::CreateCustomChannel(target, grpc::SslCredentials(tls), arguments);
}

base::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return base::OkStatus();
  return {static_cast<base::Code>(status.error_code()), status.error_message()};
}

}  // namespace sluice::control
