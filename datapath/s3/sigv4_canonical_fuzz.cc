// From raw head to canonical form: never a crash; hashed and written forms agree; a canonical
// target is its own canonical form.
#include <cstdint>
#include <cstdlib>

#include "datapath/s3/operation.h"
#include "datapath/s3/sigv4_verify.h"
#include "datapath/s3/uri.h"

using namespace sluice;
using namespace sluice::s3;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  static http1::RequestParser parser;
  parser.Reset();
  if (parser.Parse(input).state != http1::ParseState::kDone) return 0;
  const http1::Request& request = parser.request();
  Query query;
  Target target;
  if (query.Parse(request.query)) return 0;
  if (!Classify(request, query, "s3.local", &target) && HasDotSegment(target.key)) std::abort();
  Auth auth;
  if (ParseAuth(request, query, &auth) || auth.kind == AuthKind::kAnonymous) return 0;
  StringSink text;
  HashSink hash;
  const Error written = PutCanonicalRequest(request, query, auth, &text);
  const Error hashed = PutCanonicalRequest(request, query, auth, &hash);
  if (written.code != hashed.code) std::abort();
  if (!written && base::Sha256(text.text()) != hash.Finish()) std::abort();
  StringSink once;
  if (PutCanonical(request.path, UriPart::kPath, once) && !IsCanonical(once.text(), UriPart::kPath))
    std::abort();
  static SigningKeyCache keys;
  static_cast<void>(
      Verify(request, query, auth, {"secret", "", auth.region}, auth.signed_at, &keys));
  return 0;
}
