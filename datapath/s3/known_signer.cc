#include "datapath/s3/known_signer.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

namespace sluice::s3 {

using http1::HeaderId;

KnownSigner::~KnownSigner() { OPENSSL_cleanse(&key_, sizeof key_); }

std::optional<KnownSigner> KnownSigner::Make(std::string_view authorization, const Auth& auth,
                                             const SigningKey& key) {
  if (auth.kind != AuthKind::kHeader || !auth.session_token.empty()) return std::nullopt;
  if (authorization.size() <= kDigits || auth.signature.size() != kDigits ||
      auth.signature.data() != authorization.data() + authorization.size() - kDigits)
    return std::nullopt;
  KnownSigner made;
  std::string_view names = auth.signed_headers;
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(';'), names.size());
    const std::string_view name = names.substr(0, end);
    names.remove_prefix(std::min(end + 1, names.size()));
    const HeaderId id = http1::LookUpHeaderId(name);
    // The canonical form has the name as the client wrote it.
    if (id == HeaderId::kOther || http1::HeaderName(id) != name || made.name_count_ == kMaxNames)
      return std::nullopt;
    made.names_[made.name_count_++] = id;
  }
  const auto slice = [&authorization](std::string_view part) {
    return Slice{static_cast<std::size_t>(part.data() - authorization.data()), part.size()};
  };
  made.text_ = authorization.substr(0, authorization.size() - kDigits);
  made.access_key_id_ = slice(auth.access_key_id);
  made.scope_ = slice(auth.scope);
  made.date_ = slice(auth.date);
  made.region_ = slice(auth.region);
  made.service_ = slice(auth.service);
  made.signed_headers_ = slice(auth.signed_headers);
  made.key_ = key;
  return made;
}

bool KnownSigner::ReadTime(std::string_view text, Auth* auth) {
  if (text.size() != last_timestamp_.size()) return false;
  if (std::memcmp(text.data(), last_timestamp_.data(), text.size()) != 0) {
    const auto time = http1::ParseBasicDate(text);
    if (!time || text.substr(0, date_.size) != std::string_view(text_).substr(date_.begin, 8))
      return false;
    last_signed_at_ = *time;
    text.copy(last_timestamp_.data(), text.size());
  }
  auth->signed_at = last_signed_at_;
  auth->timestamp = last_timestamp_;
  return true;
}

bool KnownSigner::Verify(const http1::Request& request, const Query& query, base::WallTime now,
                         Auth* auth) {
  const http1::Headers& headers = request.headers;
  if (headers.Has(HeaderId::kAmzSecurityToken)) return false;
  // What might be another claim, X-Amz-… or AWSAccessKeyId, encoded or not.
  for (const QueryParam& param : query) {
    const char first = param.name.empty() ? '%' : param.name.front();
    if (first == 'X' || first == 'A' || first == '%' || first == '+') return false;
  }
  const http1::Header* const hash = headers.Line(HeaderId::kAmzContentSha256);
  if (hash == nullptr || !ReadTime(headers.Get(HeaderId::kAmzDate), auth)) return false;
  if (ReadPayload(hash->value, auth)) return false;
  const std::string_view authorization = headers.Get(HeaderId::kAuthorization);
  const auto part = [&authorization](Slice at) { return authorization.substr(at.begin, at.size); };
  auth->kind = AuthKind::kHeader;
  auth->access_key_id = part(access_key_id_);
  auth->scope = part(scope_);
  auth->date = part(date_);
  auth->region = part(region_);
  auth->service = part(service_);
  auth->signed_headers = part(signed_headers_);
  auth->signature = authorization.substr(text_.size());
  auth->session_token = {};
  if (CheckTime(*auth, now)) return false;
  HashSink canonical;
  if (!PutKnownRequest(request, query, *auth, {names_.data(), name_count_}, &canonical))
    return false;
  HexDigest expected;
  SignCanonicalHash(key_, auth->timestamp_text(), auth->scope, canonical.Finish(), &expected);
  return SameDigits(expected, auth->signature);
}

}  // namespace sluice::s3
