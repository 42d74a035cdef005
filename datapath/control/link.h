// Internal to this folder: one stream to one controller replica, on a thread of its own that
// connects, says Hello, hands configurations to the gate and answers, until it is stopped.
//
// States: waiting (back-off) -> connecting -> greeted (Hello sent) -> welcomed -> waiting …
//
// A dead peer is noticed by HTTP/2 keepalive, one that never welcomes by kWelcomeDeadline.
// Thread rule: methods from any thread; Stop() by the owner, who then destroys.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controller/base/clock.h"
#include "datapath/control/config_gate.h"
#include "datapath/control/source.h"

namespace sluice::control {

// What a link proves itself with; replaced as a whole when it is renewed.
struct LinkIdentity {
  std::string key_pem;  // secret
  std::string certificate_pem;
  std::string roots_pem;
};
using LinkIdentityPtr = std::shared_ptr<const LinkIdentity>;

struct LinkEvents {
  std::function<void(const base::Status& error)> failed;  // connecting failed, or the stream ended
  std::function<void()> welcomed;
  std::function<void(std::chrono::seconds grace)> drain;
};

class Link {
 public:
  // `target`: gRPC's name of one address ("ipv4:10.0.0.7:9443").
  Link(const StreamOptions& options, std::string target, LinkIdentityPtr identity, ConfigGate& gate,
       base::Clock& clock, LinkEvents events);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Reconnects at once under the new identity.
  void SetIdentity(LinkIdentityPtr identity);
  // Ends a back-off.
  void Hurry();
  // Sends it when welcomed; when not, nothing is lost: the next Welcome asks for it again.
  // Also closes a stream whose Welcome is overdue.
  void Tick(const Health& health, bool due);
  bool welcomed() const;
  std::chrono::seconds health_interval() const;  // as the Welcome said; zero before
  // Ends the stream and keeps it ended; does not wait.
  void Cancel();
  void Stop();  // Cancel() and join

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::control
