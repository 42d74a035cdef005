#include "controller/rpc/call.h"

#include <utility>

#include "controller/rpc/session.h"

namespace sluice::rpc {

void SessionCall::Send(std::shared_ptr<const std::string> message) {
  mailbox_->Post([self = shared_from_this(), message = std::move(message)]() mutable {
    if (self->session != nullptr) self->session->Send(*self, std::move(message));
  });
}

void SessionCall::Finish(base::Status status) {
  mailbox_->Post([self = shared_from_this(), status = std::move(status)]() mutable {
    if (self->session != nullptr) self->session->Finish(*self, std::move(status));
  });
}

namespace {

class UnaryHandler final : public Handler {
 public:
  UnaryHandler(std::shared_ptr<Call> call, const Answer& answer)
      : call_(std::move(call)), answer_(answer) {}

  void OnMessage(std::string_view message) override {
    if (std::exchange(asked_, true)) {
      return call_->Finish(base::Unimplemented("this method takes one request"));
    }
    answer_(call_, message);
  }
  void OnHalfClose() override {
    if (!asked_) call_->Finish(base::Unimplemented("the request is missing"));
  }

 private:
  const std::shared_ptr<Call> call_;
  const Answer& answer_;
  bool asked_ = false;
};

}  // namespace

Method Unary(Answer answer) {
  // The method outlives its calls.
  return [answer = std::make_shared<const Answer>(std::move(answer))](std::shared_ptr<Call> call) {
    return std::make_shared<UnaryHandler>(std::move(call), *answer);
  };
}

void Reply(Call& call, std::string message) {
  call.Send(std::make_shared<const std::string>(std::move(message)));
  call.Finish(base::OkStatus());
}

}  // namespace sluice::rpc
