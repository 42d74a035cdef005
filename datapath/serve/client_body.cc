#include "datapath/serve/client_body.h"

#include "datapath/serve/connection.h"

namespace sluice::serve {

s3::Error ClientBody::Start(bool checksums_cover_body) {
  Connection& c = connection_;
  Scratch& s = *c.scratch_;
  const http1::Request& request = s.parser.request();
  begin_ = s.in_begin + c.head_bytes_;
  const bool may_have = request.method == http1::Method::kPut ||
                        request.method == http1::Method::kPost || c.HasBody();
  if (!may_have) return {};
  const KeyEntry* key = c.directory_->FindKey(s.auth.access_key_id);
  const s3::SigningKey& signing =
      c.worker_.keys().Get(key->credentials.secret_access_key, s.auth.date, s.auth.region);
  if (const s3::Error error = payload_.Start(request, s.auth, &signing, checksums_cover_body))
    return error;
  expects_ = true;
  done_ = false;
  return {};
}

void ClientBody::Welcome() {
  if (!connection_.scratch_->parser.request().expect_continue) return;
  // Whoever sent all of the body unasked needs no word; whoever has none to send does: without it
  // botocore 1.43 cannot read the next answer on the connection.
  if (done_ && length() > 0) return;
  connection_.stream_->Write(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"), false);
}

bool ClientBody::ReadMore(bool* gone) {
  Connection& c = connection_;
  Scratch& s = *c.scratch_;
  const std::size_t head_end = s.in_begin + c.head_bytes_;
  begin_ = s.in_end = head_end;  // all of it was used
  const net::IoResult got =
      c.stream_->Read(std::span<char>(s.in.data() + head_end, s.in.size() - head_end));
  if (got.blocked()) return false;
  if (!got.ok()) {
    *gone = true;
    c.Close();
    return false;
  }
  s.in_end += got.bytes;
  c.input_drained_ = false;
  c.stream_->SetDeadline(kBodyDeadline);
  return true;
}

ClientBody::Step ClientBody::Next() {
  using From = s3::PayloadReader::State;
  while (!done_) {
    const Scratch& s = *connection_.scratch_;
    const s3::PayloadReader::Step step = payload_.Next({s.in.data() + begin_, s.in_end - begin_});
    begin_ += step.consumed;
    if (step.state == From::kError)
      return {.state = State::kError, .data = {}, .error = step.error};
    if (step.state == From::kData) return {.state = State::kData, .data = step.data, .error = {}};
    if (step.state == From::kDone) {
      done_ = true;
      break;
    }
    bool gone = false;
    if (!ReadMore(&gone))
      return {.state = gone ? State::kGone : State::kBlocked, .data = {}, .error = {}};
  }
  return {};
}

}  // namespace sluice::serve
