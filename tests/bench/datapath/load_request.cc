#include "tests/bench/datapath/load_request.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <ctime>

namespace sluice::bench {
namespace {

constexpr std::string_view kEmptySha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kSignedHeaders = "host;x-amz-content-sha256;x-amz-date";

std::string Hmac(std::string_view key, std::string_view text) {
  unsigned char out[SHA256_DIGEST_LENGTH];
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, nullptr);
  return {reinterpret_cast<char*>(out), sizeof out};
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", c & 0xff);
  return out;
}

std::string Sha256Hex(std::string_view text) {
  unsigned char out[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out);
  return Hex({reinterpret_cast<char*>(out), sizeof out});
}

}  // namespace

Requests::Requests(RequestOptions options)
    : options_(std::move(options)), made_(options_.keys == 0 ? 1 : options_.keys) {}

std::string Requests::PathOf(std::size_t key) const {
  return options_.keys == 0 ? options_.path : fmt::format("{}/{:04d}", options_.path, key);
}

std::string_view Requests::Get(std::size_t key, std::int64_t unix_second) {
  Made& made = made_[key];
  if (options_.access_key.empty()) {
    if (made.text.empty())
      made.text = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", PathOf(key), options_.host);
  } else if (made.second != unix_second) {
    made.second = unix_second;
    made.text = Sign(PathOf(key), unix_second);
  }
  return made.text;
}

std::string Requests::Sign(const std::string& path, std::int64_t unix_second) {
  const auto when = static_cast<std::time_t>(unix_second);
  std::tm utc{};
  ::gmtime_r(&when, &utc);
  char stamp[17];
  std::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
  const std::string date(stamp, 8);
  if (date != key_date_) {
    key_date_ = date;
    derived_key_ = Hmac(Hmac(Hmac(Hmac("AWS4" + options_.secret_key, date), options_.region), "s3"),
                        "aws4_request");
  }
  const std::string canonical =
      fmt::format("GET\n{}\n\nhost:{}\nx-amz-content-sha256:{}\nx-amz-date:{}\n\n{}\n{}", path,
                  options_.host, kEmptySha256, stamp, kSignedHeaders, kEmptySha256);
  const std::string scope = fmt::format("{}/{}/s3/aws4_request", date, options_.region);
  const std::string to_sign =
      fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", stamp, scope, Sha256Hex(canonical));
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nx-amz-content-sha256: {}\r\nx-amz-date: {}\r\n"
      "Authorization: AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}\r\n\r\n",
      path, options_.host, kEmptySha256, stamp, options_.access_key, scope, kSignedHeaders,
      Hex(Hmac(derived_key_, to_sign)));
}

}  // namespace sluice::bench
