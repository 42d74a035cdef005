// Request heads: never a crash, and the same answer whole or in two pieces.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "datapath/http1/request.h"
#include "datapath/http1/response.h"

using namespace sluice::http1;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  RequestParser whole;
  const ParseResult first = whole.Parse(input);
  if (first.state == ParseState::kDone) {
    if (first.consumed > size || whole.request().target.empty()) std::abort();
    for (const Header& header : whole.request().headers) {
      if (header.name.empty() || header.value.find('\n') != std::string_view::npos) std::abort();
    }
  }
  const std::size_t cut = size == 0 ? 0 : data[0] % (size + 1);
  RequestParser pieces;
  const ParseResult early = pieces.Parse(std::string(input.substr(0, cut)));
  if (early.state != ParseState::kNeedMore) return 0;
  const ParseResult late = pieces.Parse(input);
  // A head that is wrong and has no end yet may be found wrong only at its end.
  const bool put_off = first.state == ParseState::kError && late.state == ParseState::kNeedMore;
  if (!put_off && (late.state != first.state || late.consumed != first.consumed)) std::abort();

  ResponseParser response;
  if (response.Parse(input, Method::kGet).state == ParseState::kDone &&
      response.response().status < 100)
    std::abort();
  return 0;
}
