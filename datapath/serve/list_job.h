// ListObjects, V1 and V2: from the list cache, or asked of the origin with the mount's names put in
// and taken out.
//
// A list covers one mount: the one its prefix lies in. Names in it that another, inner mount
// decides are left out, as a GET of them would not reach what was listed.
#pragma once

#include <memory>
#include <string>

#include "datapath/s3/list.h"
#include "datapath/serve/collect.h"
#include "datapath/serve/connection.h"
#include "datapath/serve/job.h"

namespace sluice::serve {

class ListJob final : public Job {
 public:
  explicit ListJob(Connection& connection) : connection_(connection) {}
  void Start();  // may answer at once
  void Detach() override { collect_.reset(); }
  void OnDeadline() override;

 private:
  void AskOrigin();
  void OnAnswer(Collect::Answer answer);
  std::string Render(s3::ListPage page) const;
  void Send(std::string xml, std::string_view word);

  Connection& connection_;
  s3::ListRequest asked_;   // in the client's terms
  s3::ListRequest inside_;  // below the mount
  std::string question_;
  std::uint64_t generation_ = 0;
  base::MonoTime asked_at_;
  std::unique_ptr<Collect> collect_;
};

}  // namespace sluice::serve
