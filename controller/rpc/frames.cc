#include "controller/rpc/frames.h"

#include <algorithm>
#include <string_view>

#include "controller/base/check.h"
#include "controller/rpc/call.h"
#include "controller/rpc/http2_memory.h"

namespace sluice::rpc {
namespace {

std::string_view Text(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

nghttp2_nv Frames::Field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

const nghttp2_session_callbacks* Frames::Callbacks() {
  static const nghttp2_session_callbacks* const made = [] {
    nghttp2_session_callbacks* all = nullptr;
    SLUICE_CHECK(nghttp2_session_callbacks_new(&all) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(all, OnBeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(all, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(all, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(all, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, OnData);
    nghttp2_session_callbacks_set_on_frame_send_callback(all, OnFrameSent);
    nghttp2_session_callbacks_set_on_stream_close_callback(all, OnClosed);
    nghttp2_session_callbacks_set_send_data_callback(all, Write);
    return all;
  }();
  return made;
}

const nghttp2_option* Frames::Options() {
  static const nghttp2_option* const made = [] {
    nghttp2_option* all = nullptr;
    SLUICE_CHECK(nghttp2_option_new(&all) == 0);
    nghttp2_option_set_no_closed_streams(all, 1);  // they are kept for priorities we do not use
    nghttp2_option_set_max_outbound_ack(all, kMaxWaitingAcks);
    nghttp2_option_set_max_deflate_dynamic_table_size(all, kHeaderTableBytes);
    return all;
  }();
  return made;
}

nghttp2_session* Frames::NewServer(Session& session, Budget& budget) {
  nghttp2_mem memory = CountedMemory(budget);
  nghttp2_session* http2 = nullptr;
  if (nghttp2_session_server_new3(&http2, Callbacks(), &session, Options(), &memory) != 0) {
    return nullptr;
  }
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, kHeaderTableBytes},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kCallsAtOnce},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHeadBytes},
  };
  if (nghttp2_submit_settings(http2, NGHTTP2_FLAG_NONE, settings, std::size(settings)) != 0) {
    nghttp2_session_del(http2);
    return nullptr;
  }
  return http2;
}

int Frames::OnBeginFrame(nghttp2_session* http2, const nghttp2_frame_hd* head, void* self) {
  if (head->type == NGHTTP2_WINDOW_UPDATE) return 0;
  if (head->type == NGHTTP2_DATA && head->length > 0) return 0;
  if (!static_cast<Session*>(self)->Calm()) {
    nghttp2_session_terminate_session(http2, NGHTTP2_ENHANCE_YOUR_CALM);
  }
  return 0;
}

int Frames::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const bool begun = static_cast<Session*>(self)->Begin(frame->hd.stream_id);
  return begun ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Frames::OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                     std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
                     std::uint8_t /*flags*/, void* self) {
  SessionCall* const call = static_cast<Session*>(self)->Find(frame->hd.stream_id);
  if (call == nullptr || call->head == nullptr) return 0;  // trailers say nothing to us
  SessionCall::Head& head = *call->head;
  head.bytes += name_bytes + value_bytes;
  if (head.bytes > kMaxHeadBytes) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const std::string_view key = Text(name, name_bytes);
  std::string* const wanted = key == ":method"        ? &head.method
                              : key == ":path"        ? &head.path
                              : key == "content-type" ? &head.content_type
                              : key == "grpc-timeout" ? &head.timeout
                                                      : nullptr;
  if (wanted != nullptr) *wanted = Text(value, value_bytes);
  return 0;
}

int Frames::OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  auto& session = *static_cast<Session*>(self);
  const auto type = frame->hd.type;
  if (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA) return 0;
  SessionCall* const call = session.Find(frame->hd.stream_id);
  if (call == nullptr) return 0;
  const auto held = call->shared_from_this();
  if (type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) session.Route(*call);
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) session.HalfClose(*call);
  return 0;
}

int Frames::OnData(nghttp2_session*, std::uint8_t /*flags*/, std::int32_t id,
                   const std::uint8_t* data, std::size_t size, void* self) {
  auto& session = *static_cast<Session*>(self);
  if (SessionCall* const call = session.Find(id)) session.TakeData(*call, Text(data, size));
  return 0;
}

// A call that is answered is over, whatever its peer still wants to say.
int Frames::OnFrameSent(nghttp2_session* http2, const nghttp2_frame* frame, void* /*self*/) {
  const bool last = frame->hd.type == NGHTTP2_HEADERS &&
                    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
                    nghttp2_session_get_stream_remote_close(http2, frame->hd.stream_id) == 0;
  if (!last) return 0;
  return nghttp2_submit_rst_stream(http2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
}

int Frames::OnClosed(nghttp2_session*, std::int32_t id, std::uint32_t /*error*/, void* self) {
  auto& session = *static_cast<Session*>(self);
  if (SessionCall* const call = session.Find(id)) session.End(*call);
  return 0;
}

nghttp2_data_provider Frames::Source(SessionCall& call) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &call;
  provider.read_callback = Read;
  return provider;
}

// How much of the message goes into the next frame; Write puts it there.
ssize_t Frames::Read(nghttp2_session*, std::int32_t /*id*/, std::uint8_t* /*unused*/,
                     std::size_t most, std::uint32_t* flags, nghttp2_data_source* source,
                     void* self) {
  auto& call = *static_cast<SessionCall*>(source->ptr);
  if (call.sending != nullptr) {
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return static_cast<ssize_t>(std::min(most, kPrefixBytes + call.sending->size() - call.sent));
  }
  if (!call.last_words) return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  static_cast<Session*>(self)->SubmitStatus(call, *call.last_words, true);
  return 0;
}

int Frames::Write(nghttp2_session*, nghttp2_frame* /*frame*/, const std::uint8_t* head,
                  std::size_t size, nghttp2_data_source* source, void* self) {
  auto& session = *static_cast<Session*>(self);
  auto& call = *static_cast<SessionCall*>(source->ptr);
  if (session.out_->size() >= session.out_about_) return NGHTTP2_ERR_WOULDBLOCK;
  constexpr std::size_t kFrameHeadBytes = 9;
  session.out_->append(Text(head, kFrameHeadBytes));
  if (call.sent < kPrefixBytes) {
    const std::size_t some = std::min(size, kPrefixBytes - call.sent);
    session.out_->append(call.prefix.data() + call.sent, some);
    call.sent += some;
    size -= some;
  }
  session.out_->append(*call.sending, call.sent - kPrefixBytes, size);
  call.sent += size;
  if (call.sent < kPrefixBytes + call.sending->size()) return 0;
  call.sending.reset();
  call.sent = 0;
  if (call.handler != nullptr) call.handler->OnSent();
  return 0;
}

}  // namespace sluice::rpc
