// What one request costs before any byte of an object moves: parsing the head, finding the
// operation, verifying the signature. Counts allocations too: the path of a GET must have none.
//
//   cmake --build build/release --target s3_front_bench && build/release/bin/s3_front_bench
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "controller/base/digest.h"
#include "datapath/s3/operation.h"
#include "datapath/s3/sign.h"
#include "datapath/s3/sigv4_verify.h"

// Every allocation of this program is counted: malloc is what operator new calls.
extern "C" void* __libc_malloc(std::size_t size);
namespace {
std::uint64_t g_allocations = 0;
}
extern "C" void* malloc(std::size_t size) {
  ++g_allocations;
  return __libc_malloc(size);
}

namespace sluice::s3 {
namespace {

constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const base::WallTime kNow = *http1::ParseBasicDate("20260115T120000Z");

// A GET as boto3 1.40 sends it, signed.
std::string BotoGet(bool ranged) {
  const std::string target = "/datasets/imagenet/train/shard-000123.tar";
  const std::string plain =
      "Host: 10.0.0.7:9000\r\nAccept-Encoding: identity\r\n" +
      std::string(ranged ? "Range: bytes=8388608-16777215\r\n" : "") +
      "x-amz-checksum-mode: ENABLED\r\n"
      "User-Agent: Boto3/1.40.49 md/Botocore#1.40.49 ua/2.1 os/linux#6.18 md/arch#x86_64 "
      "lang/python#3.11.2 md/pyimpl#CPython m/Z,D,b,e cfg/retry-mode#legacy Botocore/1.40.49\r\n"
      "X-Amz-Date: 20260115T120000Z\r\nX-Amz-Content-SHA256: " +
      std::string(kEmptySha256) +
      "\r\namz-sdk-invocation-id: 6f0c0e2e-46a3-4f4e-9f0e-0f7c1a1b2c3d\r\n"
      "amz-sdk-request: attempt=1\r\n";
  const auto head = [&](std::string_view signature) {
    return "GET " + target + " HTTP/1.1\r\n" + plain +
           "Authorization: AWS4-HMAC-SHA256 "
           "Credential=AKIAIOSFODNN7EXAMPLE/20260115/us-east-1/s3/aws4_request, "
           "SignedHeaders=host;" +
           (ranged ? "range;" : "") +
           "x-amz-checksum-mode;x-amz-content-sha256;x-amz-date, Signature=" +
           std::string(signature) + "\r\n\r\n";
  };
  const std::string unsigned_head = head(std::string(64, '0'));
  http1::RequestParser parser;
  parser.Parse(unsigned_head);
  Query query;
  Auth auth;
  if (ParseAuth(parser.request(), query, &auth)) std::abort();
  HashSink sink;
  if (PutCanonicalRequest(parser.request(), query, auth, &sink)) std::abort();
  HexDigest hex;
  return head(SignCanonicalHash(SigningKey(kSecret, "20260115", "us-east-1"), auth.timestamp_text(),
                                auth.scope, sink.Finish(), &hex));
}

void Report(benchmark::State& state, std::uint64_t before) {
  state.counters["allocs"] =
      static_cast<double>(g_allocations - before) / static_cast<double>(state.iterations());
}

void ParseHead(benchmark::State& state) {
  const std::string head = BotoGet(false);
  http1::RequestParser parser;
  const std::uint64_t before = g_allocations;
  for (auto _ : state) {
    parser.Reset();
    benchmark::DoNotOptimize(parser.Parse(head));
  }
  Report(state, before);
  state.counters["head_bytes"] = static_cast<double>(head.size());
}
BENCHMARK(ParseHead);

void ParseAndClassify(benchmark::State& state) {
  const std::string head = BotoGet(false);
  http1::RequestParser parser;
  Query query;
  const std::uint64_t before = g_allocations;
  for (auto _ : state) {
    parser.Reset();
    parser.Parse(head);
    Target target;
    if (query.Parse(parser.request().query) || Classify(parser.request(), query, "", &target))
      std::abort();
    benchmark::DoNotOptimize(target.key.data());
  }
  Report(state, before);
}
BENCHMARK(ParseAndClassify);

// The whole of what a warm hit pays for its identity.
void ParseClassifyVerify(benchmark::State& state) {
  const std::string head = BotoGet(state.range(0) != 0);
  http1::RequestParser parser;
  Query query;
  SigningKeyCache keys;
  keys.Get(kSecret, "20260115", "us-east-1");
  const std::uint64_t before = g_allocations;
  for (auto _ : state) {
    parser.Reset();
    parser.Parse(head);
    Target target;
    Auth auth;
    if (query.Parse(parser.request().query) || Classify(parser.request(), query, "", &target) ||
        ParseAuth(parser.request(), query, &auth) ||
        Verify(parser.request(), query, auth, {kSecret, "", "us-east-1"}, kNow, &keys))
      std::abort();
  }
  Report(state, before);
}
BENCHMARK(ParseClassifyVerify)->ArgName("ranged")->Arg(0)->Arg(1);

void VerifyOnly(benchmark::State& state) {
  const std::string head = BotoGet(false);
  http1::RequestParser parser;
  parser.Parse(head);
  Query query;
  SigningKeyCache keys;
  Auth auth;
  if (ParseAuth(parser.request(), query, &auth)) std::abort();
  for (auto _ : state) {
    if (Verify(parser.request(), query, auth, {kSecret, "", "us-east-1"}, kNow, &keys))
      std::abort();
  }
}
BENCHMARK(VerifyOnly);

// What the same check would cost with a key derived every time, and with OpenSSL's one-shot calls.
void DeriveKey(benchmark::State& state) {
  for (auto _ : state) {
    const SigningKey key(kSecret, "20260115", "us-east-1");
    benchmark::DoNotOptimize(&key);
  }
}
BENCHMARK(DeriveKey);

void HmacByOneShotCall(benchmark::State& state) {
  const std::string key(32, 'k'), text(140, 't');
  for (auto _ : state) benchmark::DoNotOptimize(base::HmacSha256(key, text));
}
BENCHMARK(HmacByOneShotCall);

void HmacByPreparedKey(benchmark::State& state) {
  const HmacKey key(std::string(32, 'k'));
  const std::string text(140, 't');
  for (auto _ : state) benchmark::DoNotOptimize(key.Sign(text));
}
BENCHMARK(HmacByPreparedKey);

void Sha256ByOneShotCall(benchmark::State& state) {
  const std::string text(static_cast<std::size_t>(state.range(0)), 't');
  for (auto _ : state) benchmark::DoNotOptimize(base::Sha256(text));
}
BENCHMARK(Sha256ByOneShotCall)->Arg(400);

void Sha256ByBlockFunctions(benchmark::State& state) {
  const std::string text(static_cast<std::size_t>(state.range(0)), 't');
  for (auto _ : state) benchmark::DoNotOptimize(FastSha256(text));
}
BENCHMARK(Sha256ByBlockFunctions)->Arg(400)->Arg(1 << 20);

void SignOriginRequest(benchmark::State& state) {
  SigningKeyCache keys;
  char buffer[4096];
  const OutgoingHeader headers[] = {{"if-match", "\"e\""}, {"range", "bytes=0-1048575"}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        WriteSignedHead({"GET", "origin:9000", "/training/curated/shard-000123.tar", "", headers},
                        {"AKIAIOSFODNN7EXAMPLE", kSecret, "", "us-east-1"}, kNow, &keys, buffer));
  }
}
BENCHMARK(SignOriginRequest);

}  // namespace
}  // namespace sluice::s3

BENCHMARK_MAIN();
