#include <curl/curl.h>

#include "controller/base/check.h"
#include "tests/bench/controller/http_probe_client.h"

namespace sluice::bench {
namespace {

// A blocking program has an easy handle for each thread, with a connection of its own; the handles
// share TLS sessions.
class CurlProbe final : public ProbeClient {
 public:
  explicit CurlProbe(const ProbePeer& peer)
      : peer_(peer), base_("https://127.0.0.1:" + std::to_string(peer.port)) {
    SLUICE_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    share_ = curl_share_init();
    SLUICE_CHECK(curl_share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) ==
                 CURLSHE_OK);
    Add(get_, "Accept: application/json");
    Add(get_, "Authorization: Bearer " + peer.token);
    Add(patch_, "Accept: application/json");
    Add(patch_, "Content-Type: application/apply-patch+yaml");
    Add(patch_, "Authorization: Bearer " + peer.token);
    easies_.push_back(NewEasy());
  }
  ~CurlProbe() override {
    for (CURL* easy : easies_) curl_easy_cleanup(easy);
    curl_slist_free_all(get_);
    curl_slist_free_all(patch_);
    curl_share_cleanup(share_);
    curl_global_cleanup();
  }

  std::size_t Apply(std::string_view body) override { return ApplyOn(easies_.front(), body); }

  std::size_t Watch(const std::string& target) override {
    CURL* const easy = easies_.front();
    std::size_t bytes = 0;
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, nullptr);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, get_);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Count);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
    Perform(easy, target);
    return bytes;
  }

  void KeepIdle(int count) override {
    while (easies_.size() < static_cast<std::size_t>(count)) {
      easies_.push_back(NewEasy());
      ApplyOn(easies_.back(), "{}");
    }
  }

 private:
  static void Add(curl_slist*& list, const std::string& header) {
    list = curl_slist_append(list, header.c_str());
    SLUICE_CHECK(list != nullptr);
  }
  static std::size_t Append(char* piece, std::size_t, std::size_t size, void* to) {
    static_cast<std::string*>(to)->append(piece, size);
    return size;
  }
  static std::size_t Count(char*, std::size_t, std::size_t size, void* to) {
    *static_cast<std::size_t*>(to) += size;
    return size;
  }

  CURL* NewEasy() const {
    CURL* const easy = curl_easy_init();
    SLUICE_CHECK(easy != nullptr);
    const curl_blob ca{const_cast<char*>(peer_.ca_pem.data()), peer_.ca_pem.size(),
                       CURL_BLOB_NOCOPY};
    SLUICE_CHECK(curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK);
    curl_easy_setopt(easy, CURLOPT_SHARE, share_);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30000L);
    return easy;
  }

  std::size_t ApplyOn(CURL* easy, std::string_view body) const {
    std::string answer;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PATCH");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, patch_);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Append);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    Perform(easy, std::string(kProbeApply));
    return answer.size();
  }

  void Perform(CURL* easy, const std::string& target) const {
    curl_easy_setopt(easy, CURLOPT_URL, (base_ + target).c_str());
    long status = 0;
    SLUICE_CHECK(curl_easy_perform(easy) == CURLE_OK);
    SLUICE_CHECK(curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
                 status == 200);
  }

  const ProbePeer peer_;
  const std::string base_;
  CURLSH* share_ = nullptr;
  curl_slist* get_ = nullptr;
  curl_slist* patch_ = nullptr;
  std::vector<CURL*> easies_;
};

}  // namespace

std::unique_ptr<ProbeClient> MakeCurlProbe(const ProbePeer& peer) {
  return std::make_unique<CurlProbe>(peer);
}

}  // namespace sluice::bench
