// One request passed through to its origin: the client's body in, re-signed, the answer out.
//
// Writes invalidate what the cache holds of their object twice: before the origin hears of them
// (and durably, so that a crash in between cannot bring the old bytes back) and after it answered
// (for reads that were under way), before the client hears of it.
//
// Nothing of the origin's own names reaches the client: errors are told in our words, and bucket,
// key and location in XML answers are put back into the client's terms.
//
// A checksum that comes behind a client's body goes to the origin behind ours: the body becomes one
// chunk of the aws-chunked coding, whose length is known from the start. Otherwise the origin would
// keep no checksum, and refuse parts of an upload that was begun with one.
//
// Flow control: the origin is read only as fast as the client takes, and the other way round; at
// most origin/limits.h kScratchBytes wait here in either case.
//
// Thread rule: the connection's loop. Owned by the Connection; destroyed when the request ends.
#pragma once

#include <memory>
#include <string>

#include "datapath/origin/exchange.h"
#include "datapath/serve/client_body.h"
#include "datapath/serve/connection.h"
#include "datapath/serve/job.h"

namespace sluice::serve {

class Proxy final : public Job, public origin::ResponseHandler {
 public:
  explicit Proxy(Connection& connection) : connection_(connection), body_(connection) {}
  ~Proxy() override;

  // From a dispatched request. May answer (and end) at once when it must be refused.
  void Start();

  void Detach() override { exchange_.reset(); }
  void OnClientReadable() override;
  void OnClientWritable() override;
  void OnDeadline() override;
  void OnContinue() override;

  void OnHead(const http1::Response& response) override;
  void OnData(std::span<const char> bytes) override;
  void OnSendable() override;
  void OnDone(const base::Status& status) override;

 private:
  // How the answer's body reaches the client.
  enum class Mode : std::uint8_t { kUndecided, kStream, kCollect };

  s3::Error BuildRequest(origin::Request* request);
  s3::Error AddCopySource(origin::Request* request);
  void BeginExchange();
  void FrameUpload();
  bool NextUpload();
  void PumpUpload();
  void PumpOut();
  void FinishCollected();
  void AnswerCollected();
  void Fail(const s3::Error& error);
  void End();
  bool Writes() const;

  Connection& connection_;
  origin::Request request_;
  std::unique_ptr<origin::Exchange> exchange_;
  ClientBody body_;
  std::string_view upload_;  // not yet taken by the exchange
  enum class Framing : std::uint8_t { kNone, kHead, kBody, kTail };
  Framing framing_ = Framing::kNone;  // what comes next
  std::string frame_;                 // what `upload_` shows of the framing

  Mode mode_ = Mode::kUndecided;
  int status_ = 0;
  std::string head_lines_;  // of the answer, for kCollect
  std::string out_;         // bytes for the client: head, then body as it comes
  std::size_t out_sent_ = 0;
  bool chunked_ = false;
  bool paused_ = false;
  bool origin_done_ = false;
  std::string collected_;
};

}  // namespace sluice::serve
