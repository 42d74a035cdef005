// A peer's end of the wire, by hand: what it sends as frames, and what it is sent. For tests.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/rpc/framing.h"

namespace sluice::rpc::wire {

using Fields = std::vector<std::pair<std::string, std::string>>;

inline std::string BigEndian(std::uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

inline std::string Frame(std::uint8_t type, std::uint8_t flags, std::uint32_t id,
                         std::string_view payload) {
  return BigEndian(static_cast<std::uint32_t>(payload.size()), 3) + static_cast<char>(type) +
         static_cast<char>(flags) + BigEndian(id, 4) + std::string(payload);
}

inline std::string Preface() {
  return std::string(NGHTTP2_CLIENT_MAGIC) + Frame(NGHTTP2_SETTINGS, 0, 0, "");
}

// Never indexed, not compressed.
inline std::string Block(const Fields& fields) {
  const auto text = [](const std::string& value) {
    std::string out;
    if (value.size() < 127) {
      out += static_cast<char>(value.size());
    } else {
      out += '\x7f';
      for (std::size_t left = value.size() - 127;; left >>= 7) {
        out += static_cast<char>(left >= 128 ? (left & 127) | 128 : left);
        if (left < 128) break;
      }
    }
    return out + value;
  };
  std::string out;
  for (const auto& [name, value] : fields) out += '\0' + text(name) + text(value);
  return out;
}

inline std::string Head(std::uint32_t id, const std::string& path, Fields more = {},
                        bool end = false, const std::string& content_type = "application/grpc") {
  Fields fields = {{":method", "POST"}, {":scheme", "https"},           {":path", path},
                   {":authority", "x"}, {"content-type", content_type}, {"te", "trailers"}};
  fields.insert(fields.end(), more.begin(), more.end());
  const int flags = NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0);
  return Frame(NGHTTP2_HEADERS, static_cast<std::uint8_t>(flags), id, Block(fields));
}

inline std::string Message(std::string_view bytes) {
  const Prefix prefix = PrefixOf(bytes.size());
  return std::string(prefix.data(), prefix.size()) + std::string(bytes);
}

inline std::string Data(std::uint32_t id, std::string_view bytes, bool end = false) {
  return Frame(NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, id, bytes);
}

inline std::string Reset(std::uint32_t id) {
  return Frame(NGHTTP2_RST_STREAM, 0, id, BigEndian(NGHTTP2_CANCEL, 4));
}

inline std::string Ping() { return Frame(NGHTTP2_PING, 0, 0, "12345678"); }

inline std::string Window(std::uint32_t id, std::uint32_t bytes) {
  return Frame(NGHTTP2_WINDOW_UPDATE, 0, id, BigEndian(bytes, 4));
}

// What a server said, taken apart.
class Listener {
 public:
  struct Heard {
    std::map<std::string, std::string> fields;  // of all its HEADERS
    std::string data;
    bool ended = false;
    bool reset = false;
    std::uint32_t reset_code = 0;
  };

  Listener() { nghttp2_hd_inflate_new(&inflater_); }
  ~Listener() { nghttp2_hd_inflate_del(inflater_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void Hear(std::string_view bytes) {
    unparsed_ += bytes;
    while (unparsed_.size() >= 9) {
      const std::size_t size = Number(0, 3);
      if (unparsed_.size() < 9 + size) return;
      Take(static_cast<std::uint8_t>(unparsed_[3]), static_cast<std::uint8_t>(unparsed_[4]),
           Number(5, 4), unparsed_.substr(9, size));
      unparsed_.erase(0, 9 + size);
    }
  }
  Heard& On(std::uint32_t id) { return calls_[id]; }
  int pongs = 0;
  bool gone_away = false;
  std::uint32_t gone_away_code = 0;

 private:
  std::uint32_t Number(std::size_t at, std::size_t bytes) const {
    return Number(std::string_view(unparsed_).substr(at, bytes));
  }
  static std::uint32_t Number(std::string_view bytes) {
    std::uint32_t out = 0;
    for (const char c : bytes) out = out << 8 | static_cast<unsigned char>(c);
    return out;
  }
  void Take(std::uint8_t type, std::uint8_t flags, std::uint32_t id, const std::string& payload) {
    Heard& call = calls_[id];
    if (type == NGHTTP2_DATA) call.data += payload;
    if (type == NGHTTP2_HEADERS) Inflate(payload, call);
    if (type == NGHTTP2_RST_STREAM) call.reset = true;
    if (type == NGHTTP2_RST_STREAM) call.reset_code = Number(payload);
    if (type == NGHTTP2_PING) ++pongs;
    if (type == NGHTTP2_GOAWAY) gone_away = true;
    if (type == NGHTTP2_GOAWAY) gone_away_code = Number(std::string_view(payload).substr(4, 4));
    const bool may_end = type == NGHTTP2_DATA || type == NGHTTP2_HEADERS;
    if (may_end && (flags & NGHTTP2_FLAG_END_STREAM) != 0) call.ended = true;
  }
  void Inflate(std::string_view block, Heard& call) {
    int flags = 0;
    while (!block.empty() || (flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      nghttp2_nv field{};
      const auto n = nghttp2_hd_inflate_hd2(inflater_, &field, &flags,
                                            reinterpret_cast<const std::uint8_t*>(block.data()),
                                            block.size(), 1);
      if (n < 0) return;
      block.remove_prefix(static_cast<std::size_t>(n));
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        call.fields[{reinterpret_cast<char*>(field.name), field.namelen}] = {
            reinterpret_cast<char*>(field.value), field.valuelen};
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
  }

  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string unparsed_;
  std::map<std::uint32_t, Heard> calls_;
};

}  // namespace sluice::rpc::wire
