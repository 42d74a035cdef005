#include "reconcilers/gates/grpc_check/grpc_check.h"

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include "api/check/v1/check.grpc.pb.h"
#include "controller/base/log.h"
#include "controller/http/url.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

// "dns:///" keeps a name from being read as another scheme of gRPC's (unix:, xds:).
std::string Target(const http::Url& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return fmt::format("dns:///{}:{}", v6 ? "[" + address.host + "]" : address.host, address.port);
}

// Core would write its own lines to standard error; what an answer lacks is a gate's to tell.
void RouteCoreLog() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    base::log::Debug("grpc core",
                     {{"file", line->file}, {"line", line->line}, {"message", line->message}});
  });
}

std::shared_ptr<grpc::Channel> Dial(const http::Url& address, const std::string& ca_pem) {
  RouteCoreLog();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxExternalAnswerBytes));
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(kMaxExternalAnswerBytes));
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // One call a channel: nothing of an earlier one (a backoff, a certificate believed) is reused.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!address.tls()) {
    return grpc::CreateCustomChannel(Target(address), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ca_pem;  // empty: the system's roots
  return grpc::CreateCustomChannel(Target(address), grpc::SslCredentials(tls), arguments);
}

const char* NameOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "did not answer in time";
    case grpc::StatusCode::UNAVAILABLE:
      return "cannot be reached";
    case grpc::StatusCode::UNIMPLEMENTED:
      return "does not serve sluice.check.v1.Check";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "answered too much, or takes no more questions";
    case grpc::StatusCode::CANCELLED:
      return "the question was withdrawn";
    default:
      return "answered with an error";
  }
}

const char* Word(check::v1::EvaluateResponse::Verdict verdict) {
  switch (verdict) {
    case check::v1::EvaluateResponse::PASS:
      return "pass";
    case check::v1::EvaluateResponse::HOLD:
      return "hold";
    case check::v1::EvaluateResponse::FAIL:
      return "fail";
    default:
      return "";
  }
}

}  // namespace

ExternalFacts GrpcCheck::Ask(const ExternalQuestion& question, const http::Url& address,
                             const std::string& ca_pem, std::stop_token stop) {
  const auto stub = check::v1::Check::NewStub(Dial(address, ca_pem));
  check::v1::EvaluateRequest request;
  request.set_check(address.path.empty() ? "" : address.path.substr(1));
  request.set_site(question.site);
  request.set_stage(question.stage);
  check::v1::EvaluateResponse answer;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + question.timeout);
  // Also before the call begins: gRPC then ends it as it starts.
  const std::stop_callback withdraw(stop, [&context] { context.TryCancel(); });
  const grpc::Status status = stub->Evaluate(&context, request, &answer);
  if (status.ok()) return AnswerFacts(question.url, Word(answer.verdict()), answer.reason());
  return ExternalFacts{
      .url = question.url,
      .verdict = {},
      .reason = {},
      .error = Bounded(fmt::format("{} (gRPC status {}: {})", NameOf(status.error_code()),
                                   static_cast<int>(status.error_code()), status.error_message()),
                       kMaxMessageBytes)};
}

}  // namespace sluice::gates
