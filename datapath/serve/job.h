// What a connection does for a request that is not a cached read: pass it through, list, delete
// many.
//
// Thread rule: the connection's loop. A job lives until its request ends; Detach() comes first,
// after which it calls nothing and is destroyed when nobody up the stack uses it.
#pragma once

namespace sluice::serve {

class Job {
 public:
  virtual ~Job() = default;
  virtual void Detach() = 0;
  virtual void OnClientReadable() {}
  virtual void OnClientWritable() {}
  // Nothing moved for too long.
  virtual void OnDeadline() = 0;
  // What Connection::PostToJob posted.
  virtual void OnContinue() {}
};

}  // namespace sluice::serve
