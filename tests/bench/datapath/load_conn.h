// One connection of a load run, and the little of HTTP/1.1 it has to read: status and length.
// Thread rule: the engine's.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::bench {

struct Conn {
  int fd = -1;
  bool busy = false;
  bool in_body = false;
  bool failed = false;  // the answer in hand is not a 200
  std::int64_t since = 0;
  std::uint64_t body_left = 0;
  std::string head;  // of a head that came in pieces
};

// Status and length of a head; false: not one we can follow.
inline bool ReadHead(std::string_view head, int* status, std::uint64_t* length) {
  if (head.size() < 12) return false;
  std::from_chars(head.data() + 9, head.data() + 12, *status);
  std::size_t at = head.find("ontent-Length: ");
  if (at == std::string_view::npos) at = head.find("ontent-length: ");
  if (at == std::string_view::npos) return false;
  const char* const digits = head.data() + at + 15;
  return std::from_chars(digits, head.data() + head.size(), *length).ec == std::errc();
}

}  // namespace sluice::bench
