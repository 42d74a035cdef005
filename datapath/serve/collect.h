// One request to an origin whose answer is read whole, with a bound, counted in the memory pool.
// Thread rule: the loop's. Destroying it cancels.
#pragma once

#include <memory>
#include <string>

#include "datapath/net/task.h"
#include "datapath/origin/exchange.h"
#include "datapath/serve/agent_metrics.h"
#include "datapath/serve/upstream.h"
#include "datapath/store/memory_pool.h"

namespace sluice::serve {

class Collect final : public origin::ResponseHandler {
 public:
  struct Answer {
    base::Status status;  // not OK: there was no (whole) answer
    int http_status = 0;
    std::string body;
  };
  // `done` is called once, from the loop; it may destroy this.
  Collect(store::MemoryPool& pool, const OriginMetrics& metrics, OriginMetrics::Operation operation,
          std::size_t max_bytes, net::Callback<void(Answer)> done);
  ~Collect() override;
  void Start(Upstream& upstream, const std::string& origin, origin::Request request);

  void OnHead(const http1::Response& response) override;
  void OnData(std::span<const char> bytes) override;
  void OnDone(const base::Status& status) override;

 private:
  void Finish(base::Status status);

  store::MemoryPool& pool_;
  const OriginMetrics& metrics_;
  const OriginMetrics::Operation operation_;
  const std::size_t max_bytes_;
  net::Callback<void(Answer)> done_;
  std::unique_ptr<origin::Exchange> exchange_;
  Answer answer_;
  std::size_t reserved_ = 0;
};

// How an origin's HTTP status is counted, and what a client is told when the origin's own word is
// not known.
OriginMetrics::Result OriginResultOf(int http_status);
s3::ErrorCode ErrorCodeOfStatus(int http_status);
// The code in an origin's error document, or by its status. Names of the origin do not get out.
s3::ErrorCode ErrorCodeOfAnswer(int http_status, std::string_view xml);

}  // namespace sluice::serve
