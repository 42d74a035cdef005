// Internal to this folder: nghttp2's callbacks, memory and settings for a Session. Include only
// from .cc files.
#pragma once

#include <nghttp2/nghttp2.h>

#include "controller/rpc/session.h"

namespace sluice::rpc {

struct Frames {
  // A server's end of a connection, with its SETTINGS submitted; nullptr: no room.
  static nghttp2_session* NewServer(Session& session, Budget& budget);
  // Where the bytes of a call's messages come from.
  static nghttp2_data_provider Source(SessionCall& call);
  static nghttp2_nv Field(std::string_view name, std::string_view value);

 private:
  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* self);
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
                      std::uint8_t flags, void* self);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnData(nghttp2_session*, std::uint8_t flags, std::int32_t id, const std::uint8_t* data,
                    std::size_t size, void* self);
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnClosed(nghttp2_session*, std::int32_t id, std::uint32_t error, void* self);
  static ssize_t Read(nghttp2_session*, std::int32_t id, std::uint8_t*, std::size_t most,
                      std::uint32_t* flags, nghttp2_data_source* source, void* self);
  static int Write(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head,
                   std::size_t size, nghttp2_data_source* source, void* self);
  static const nghttp2_session_callbacks* Callbacks();
  static const nghttp2_option* Options();
};

}  // namespace sluice::rpc
