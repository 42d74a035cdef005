// An external gate over gRPC, asked of a real server in this process, through to the gate's cause.
#include "reconcilers/gates/grpc_check/grpc_check.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <latch>
#include <thread>

#include "api/check/v1/check.grpc.pb.h"
#include "controller/base/authority.h"
#include "controller/base/file.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

using cases::kNow;
using check::v1::EvaluateRequest;
using check::v1::EvaluateResponse;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

using Answerer =
    std::function<grpc::Status(grpc::ServerContext&, const EvaluateRequest&, EvaluateResponse&)>;

class Service final : public check::v1::Check::Service {
 public:
  Answerer answer;
  EvaluateRequest asked;
  grpc::Status Evaluate(grpc::ServerContext* context, const EvaluateRequest* request,
                        EvaluateResponse* response) override {
    asked = *request;
    return answer(*context, *request, *response);
  }
};

// A server on a port of its own choosing; with a certificate it speaks TLS only.
class Server {
 public:
  explicit Server(Service* service, const base::ServerCertificate* certificate = nullptr) {
    grpc::ServerBuilder builder;
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (certificate != nullptr) {
      grpc::SslServerCredentialsOptions tls;
      tls.pem_key_cert_pairs = {{certificate->key_pem, certificate->certificate.certificate_pem}};
      credentials = grpc::SslServerCredentials(tls);
    }
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterService(service);
    server_ = builder.BuildAndStart();
  }
  ~Server() { server_->Shutdown(std::chrono::system_clock::now()); }
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

constexpr milliseconds kPatience{20'000};

base::StatusOr<ExternalFacts> Asked(const std::string& scheme, const std::string& host,
                                    milliseconds timeout = kPatience,
                                    const std::string& ca_file = {}, std::stop_token stop = {}) {
  GrpcCheck grpc;
  ExternalCheck check({.allowed = {host}, .ca_file = ca_file}, &grpc);
  return check.Ask({.url = scheme + "://" + host + "/cmdb?strict=1",
                    .site = "phoenix",
                    .stage = "Walk",
                    .timeout = timeout},
                   std::move(stop));
}

// What the gate says to these facts.
GateResult Judged(const base::StatusOr<ExternalFacts>& facts) {
  Gate gate;
  gate.name = "cmdb";
  gate.kind = GateKind::kExternal;
  Evidence evidence;
  evidence.gate = gate.name;
  evidence.observed_at = kNow;
  if (facts.ok()) {
    evidence.external = *facts;
  } else {
    evidence.misconfigured = facts.status().message();
  }
  return EvaluateGate(gate, evidence, std::nullopt, {}, kNow);
}

grpc::Status Says(EvaluateResponse& out, EvaluateResponse::Verdict verdict,
                  const std::string& reason) {
  out.set_verdict(verdict);
  out.set_reason(reason);
  return grpc::Status::OK;
}

TEST(GrpcGate, EveryAnswerHasItsVerdictAndCause) {
  struct Row {
    const char* name;
    Answerer answer;
    Verdict verdict;
    Cause cause;
    const char* told;
  };
  const auto says = [](EvaluateResponse::Verdict verdict, std::string reason) -> Answerer {
    return [=](auto&, const auto&, EvaluateResponse& out) { return Says(out, verdict, reason); };
  };
  const auto refuses = [](grpc::StatusCode code) -> Answerer {
    return [=](auto&, const auto&, auto&) { return grpc::Status(code, "not today"); };
  };
  const Row rows[] = {
      {"pass", says(EvaluateResponse::PASS, "entered"), Verdict::kPass, Cause::kMet, "entered"},
      {"pass without a word", says(EvaluateResponse::PASS, ""), Verdict::kPass, Cause::kMet,
       "pass"},
      {"hold", says(EvaluateResponse::HOLD, "the CMDB is late"), Verdict::kHold, Cause::kGateFailed,
       "the CMDB is late"},
      {"fail", says(EvaluateResponse::FAIL, "no such site"), Verdict::kFail, Cause::kGateFailed,
       "no such site"},
      {"hold without a reason", says(EvaluateResponse::HOLD, ""), Verdict::kHold,
       Cause::kProviderError, "without a reason"},
      {"no verdict", says(EvaluateResponse::VERDICT_UNSPECIFIED, "hm"), Verdict::kHold,
       Cause::kProviderError, "none of pass, hold and fail"},
      {"a verdict of tomorrow", says(static_cast<EvaluateResponse::Verdict>(9), "hm"),
       Verdict::kHold, Cause::kProviderError, "none of pass, hold and fail"},
      {"an error", refuses(grpc::StatusCode::INTERNAL), Verdict::kHold, Cause::kProviderError,
       "answered with an error (gRPC status 13: not today)"},
      {"no right", refuses(grpc::StatusCode::PERMISSION_DENIED), Verdict::kHold,
       Cause::kProviderError, "gRPC status 7"},
      {"overloaded", refuses(grpc::StatusCode::RESOURCE_EXHAUSTED), Verdict::kHold,
       Cause::kProviderError, "takes no more questions"},
      {"going down", refuses(grpc::StatusCode::UNAVAILABLE), Verdict::kHold, Cause::kProviderError,
       "cannot be reached"},
      {"too long an answer",
       says(EvaluateResponse::PASS, std::string(kMaxExternalAnswerBytes + 1, 'x')), Verdict::kHold,
       Cause::kProviderError, "answered too much"},
  };
  for (const Row& row : rows) {
    Service service;
    service.answer = row.answer;
    const Server server(&service);
    const auto facts = Asked("grpc", server.host());
    ASSERT_TRUE(facts.ok()) << row.name << facts.status().ToString();
    const GateResult result = Judged(facts);
    EXPECT_EQ(result.verdict, row.verdict) << row.name;
    EXPECT_EQ(result.cause(), row.cause) << row.name << ": " << result.message();
    EXPECT_THAT(result.message(), HasSubstr(row.told)) << row.name;
  }
}

TEST(GrpcGate, IsToldWhatWantsToAdvanceAndByWhen) {
  Service service;
  std::chrono::system_clock::time_point deadline;
  service.answer = [&](grpc::ServerContext& context, const auto&, EvaluateResponse& out) {
    deadline = context.deadline();
    return Says(out, EvaluateResponse::PASS, std::string(1000, 'x'));
  };
  const Server server(&service);
  const auto begin = std::chrono::system_clock::now();
  const auto facts = Asked("grpc", server.host());
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(service.asked.check(), "cmdb?strict=1");
  EXPECT_EQ(service.asked.site(), "phoenix");
  EXPECT_EQ(service.asked.stage(), "Walk");
  EXPECT_LT(deadline, begin + 3 * kPatience) << "the other system knows how long we wait";
  EXPECT_EQ(facts->reason.size(), kMaxMessageBytes) << "no status is filled by somebody else";
}

TEST(GrpcGate, AServerWithoutTheServiceIsAProviderError) {
  check::v1::Check::Service empty;  // gRPC's own answer: UNIMPLEMENTED
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&empty);
  const auto server = builder.BuildAndStart();
  const GateResult result = Judged(Asked("grpc", "127.0.0.1:" + std::to_string(port)));
  EXPECT_EQ(result.cause(), Cause::kProviderError);
  EXPECT_THAT(result.message(), HasSubstr("does not serve sluice.check.v1.Check"));
}

TEST(GrpcGate, AServerThatIsGoneIsAProviderErrorAtOnce) {
  Service service;
  std::string host;
  {
    const Server server(&service);
    host = server.host();
  }
  const GateResult result = Judged(Asked("grpc", host));
  EXPECT_EQ(result.cause(), Cause::kProviderError);
  EXPECT_THAT(result.message(), HasSubstr("cannot be reached"));
}

TEST(GrpcGate, AnAnswerTakesNoLongerThanTheGateAllows) {
  Service service;
  std::latch done(1);
  service.answer = [&](auto&, const auto&, auto&) {
    done.wait();
    return grpc::Status::OK;
  };
  const Server server(&service);
  const GateResult result = Judged(Asked("grpc", server.host(), milliseconds(300)));
  done.count_down();
  EXPECT_EQ(result.cause(), Cause::kProviderError);
  EXPECT_THAT(result.message(), HasSubstr("did not answer in time"));
}

TEST(GrpcGate, AStopEndsTheQuestion) {
  Service service;
  std::latch arrived(1);
  std::latch done(1);
  service.answer = [&](auto&, const auto&, auto&) {
    arrived.count_down();
    done.wait();
    return grpc::Status::OK;
  };
  const Server server(&service);
  std::stop_source stop;
  std::jthread stopper([&] {
    arrived.wait();
    stop.request_stop();
  });
  const auto facts = Asked("grpc", server.host(), std::chrono::minutes(10), {}, stop.get_token());
  done.count_down();
  ASSERT_TRUE(facts.ok());
  EXPECT_THAT(facts->error, HasSubstr("withdrawn"));
}

TEST(GrpcGate, AStopBeforeTheQuestionEndsItAsItBegins) {
  Service service;
  service.answer = [](auto&, const auto&, EvaluateResponse& out) {
    return Says(out, EvaluateResponse::PASS, "");
  };
  const Server server(&service);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(Asked("grpc", server.host(), std::chrono::minutes(10), {}, stop.get_token())->error,
              HasSubstr("withdrawn"));
}

TEST(GrpcGate, AnAddressThatIsNotAllowedIsMisconfiguredAndNeverAsked) {
  Service service;
  int asked = 0;
  service.answer = [&](auto&, const auto&, EvaluateResponse& out) {
    ++asked;
    return Says(out, EvaluateResponse::PASS, "");
  };
  const Server server(&service);
  GrpcCheck grpc;
  const ExternalQuestion question{
      .url = "grpc://" + server.host(), .site = "phoenix", .stage = "Walk", .timeout = kPatience};
  ExternalCheck elsewhere({.allowed = {"gates.example.com"}, .ca_file = {}}, &grpc);
  EXPECT_EQ(Judged(elsewhere.Ask(question, {})).cause(), Cause::kMisconfigured);
  ExternalCheck http_only({.allowed = {server.host()}, .ca_file = {}});
  EXPECT_EQ(Judged(http_only.Ask(question, {})).cause(), Cause::kMisconfigured);
  EXPECT_EQ(asked, 0);
}

class GrpcTlsTest : public ::testing::Test {
 protected:
  GrpcTlsTest()
      : file_(::testing::TempDir() + "/gates-ca-" + std::to_string(::getpid()) + ".crt"),
        now_(std::chrono::system_clock::now()) {
    service_.answer = [](auto&, const auto&, EvaluateResponse& out) {
      return Says(out, EvaluateResponse::PASS, "entered");
    };
  }
  ~GrpcTlsTest() override { ::unlink(file_.c_str()); }

  base::CertificateAuthority Authority() {
    return *base::CertificateAuthority::Load(
        *base::CertificateAuthority::Create("gates", now_, std::chrono::hours(1)));
  }
  base::ServerCertificate Issued(const base::CertificateAuthority& by, const std::string& address) {
    return *by.IssueServer({"gates.example.com"}, now_, std::chrono::hours(1), {address});
  }
  void Trust(const std::string& pem) { ASSERT_TRUE(base::WriteFileAtomic(file_, pem).ok()); }

  const std::string file_;
  const base::WallTime now_;
  Service service_;
};

TEST_F(GrpcTlsTest, ACertificateOfTheNamedAuthorityForTheAskedNameIsBelieved) {
  const auto authority = Authority();
  const auto certificate = Issued(authority, "127.0.0.1");
  const Server server(&service_, &certificate);
  Trust(authority.certificate_pem());
  EXPECT_EQ(Judged(Asked("grpcs", server.host(), kPatience, file_)).verdict, Verdict::kPass);
}

TEST_F(GrpcTlsTest, EveryOtherServerIsAProviderErrorAndNeverAPass) {
  const auto authority = Authority();
  const auto right = Issued(authority, "127.0.0.1");
  const auto wrong_name = Issued(authority, "127.0.0.2");
  const auto stranger = Authority();
  struct Row {
    const char* name;
    const char* scheme;
    const base::ServerCertificate* certificate;
    std::string trusted;  // empty: the system's roots
  };
  const Row rows[] = {
      {"another authority", "grpcs", &right, stranger.certificate_pem()},
      {"the system's roots do not know it", "grpcs", &right, ""},
      {"a certificate for another address", "grpcs", &wrong_name, authority.certificate_pem()},
      {"plain text where TLS is asked for", "grpcs", nullptr, authority.certificate_pem()},
      {"TLS where plain text is asked for", "grpc", &right, authority.certificate_pem()},
      {"a file of authorities that holds none", "grpcs", &right, "nothing"},
  };
  for (const Row& row : rows) {
    const Server server(&service_, row.certificate);
    if (!row.trusted.empty()) Trust(row.trusted);
    const GateResult result = Judged(
        Asked(row.scheme, server.host(), milliseconds(5000), row.trusted.empty() ? "" : file_));
    EXPECT_EQ(result.cause(), Cause::kProviderError) << row.name << result.message();
    EXPECT_EQ(result.verdict, Verdict::kHold) << row.name;
  }
}

TEST_F(GrpcTlsTest, AFileOfAuthoritiesThatIsMissingOrEmptyDoesNotMeanTheSystemsRoots) {
  const auto authority = Authority();
  const auto certificate = Issued(authority, "127.0.0.1");
  const Server server(&service_, &certificate);
  EXPECT_EQ(Judged(Asked("grpcs", server.host(), kPatience, file_)).cause(), Cause::kProviderError);
  Trust("");
  const GateResult result = Judged(Asked("grpcs", server.host(), kPatience, file_));
  EXPECT_EQ(result.cause(), Cause::kProviderError);
  EXPECT_THAT(result.message(), HasSubstr("is empty"));
}

}  // namespace
}  // namespace sluice::gates
