// Any bytes a peer may send, in any pieces: no crash, calls end once, and all memory is given back.
// The first byte says how the rest comes: bit 0 with a good preface before it, bits 1 to 7 the size
// of the pieces.
#include <cstdint>
#include <string>
#include <string_view>

#include "controller/base/check.h"
#include "controller/rpc/session.h"
#include "controller/rpc/wire_for_test.h"

namespace {

using namespace sluice;

struct Counting final : rpc::Handler {
  explicit Counting(std::shared_ptr<rpc::Call> its_call) : call(std::move(its_call)) {}
  ~Counting() override { SLUICE_CHECK(ends == 1); }
  void OnMessage(std::string_view message) override {
    SLUICE_CHECK(ends == 0 && message.size() <= 4096);
    if (!busy) call->Send(std::make_shared<const std::string>(message));
    busy = true;
    if (message.starts_with('F')) call->Finish(base::Aborted(std::string(message)));
  }
  void OnSent() override { busy = false; }
  void OnHalfClose() override { call->Finish(base::OkStatus()); }
  void OnEnd() override { ++ends; }
  std::shared_ptr<rpc::Call> call;
  bool busy = false;
  int ends = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  rpc::Service service;
  service.most_request_bytes = 4096;
  service.most_answer_bytes = 4096;
  service.methods["/s"] = [](std::shared_ptr<rpc::Call> call) {
    return std::make_shared<Counting>(std::move(call));
  };
  service.methods["/u"] =
      rpc::Unary([](const std::shared_ptr<rpc::Call>& call, std::string_view in) {
        rpc::Reply(*call, std::string(in));
      });
  base::FakeClock clock;
  rpc::Budget budget(256 << 10);
  const auto mailbox = std::make_shared<rpc::Mailbox>();
  {
    rpc::Session session({service, budget, clock, mailbox, [] {}}, std::make_shared<rpc::Peer>());
    const auto step = static_cast<std::size_t>(data[0] >> 1) + 1;
    std::string bytes = (data[0] & 1) != 0 ? rpc::wire::Preface() : "";
    bytes.append(reinterpret_cast<const char*>(data + 1), size - 1);
    for (std::size_t at = 0; at < bytes.size() && !session.over(); at += step) {
      if (!session.Feed(std::string_view(bytes).substr(at, step)).ok()) break;
      for (auto& task : mailbox->TakeAll()) task();
      std::string out;
      if (!session.Take(out, 4096).ok()) break;
      clock.Advance(std::chrono::milliseconds(50));
      if (session.Due() <= clock.Mono()) session.Expire();
    }
  }
  mailbox->Close();
  SLUICE_CHECK(budget.used() == 0);
  return 0;
}
