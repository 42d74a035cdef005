// The head of a server's answer. Internal to this folder. Pure; any thread.
#pragma once

#include <fmt/format.h>

#include <string>

#include "controller/http/server.h"

namespace sluice::http {

inline std::string AnswerHead(const ServerResponse& response) {
  const int kind = response.status / 100;
  const char* const phrase = kind == 2 ? "OK" : kind == 4 ? "Refused" : "Error";
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
      response.status, phrase, response.content_type, response.body.size());
}

}  // namespace sluice::http
