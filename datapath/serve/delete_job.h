// DeleteObjects: every key in the body goes through the tenant's mounts by itself, as a DELETE of
// it would. What may be deleted is asked of the origin mount by mount; the rest is answered with
// AccessDenied, key by key.
//
// Order: body → decide each key → invalidate all → one request a mount → invalidate all → answer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datapath/s3/documents.h"
#include "datapath/serve/client_body.h"
#include "datapath/serve/collect.h"
#include "datapath/serve/connection.h"
#include "datapath/serve/job.h"

namespace sluice::serve {

class DeleteJob final : public Job {
 public:
  explicit DeleteJob(Connection& connection) : connection_(connection), body_(connection) {}
  void Start();
  void Detach() override;
  void OnClientReadable() override { ReadBody(); }
  void OnDeadline() override;
  void OnContinue() override;

 private:
  struct Batch {
    const MountEntry* mount = nullptr;
    std::vector<s3::DeleteEntry> entries;  // in the client's terms
  };
  enum class Stage : std::uint8_t { kBody, kForgettingFirst, kAsking, kForgettingLast };

  void ReadBody();
  void Decide();
  void ForgetAll();
  void AskNext();
  void OnAnswer(Collect::Answer answer);
  void AnswerClient();
  void Fail(const s3::Error& error);

  Connection& connection_;
  ClientBody body_;
  Stage stage_ = Stage::kBody;
  std::string xml_;
  bool quiet_ = false;
  std::vector<Batch> batches_;
  std::size_t next_batch_ = 0;
  std::vector<s3::DeleteOutcome> outcomes_;
  std::unique_ptr<Collect> collect_;
};

}  // namespace sluice::serve
