#include "datapath/s3/query.h"

#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace {
bool WellFormed(std::string_view raw) {
  for (std::size_t i = raw.find('%'); i != std::string_view::npos; i = raw.find('%', i + 1)) {
    if (internal::EscapedByte(raw, i) < 0) return false;
  }
  return true;
}
}  // namespace

Error Query::Parse(std::string_view raw) {
  count_ = 0;
  if (raw.empty()) return {};
  if (!WellFormed(raw)) return {ErrorCode::kInvalidUri, {}};
  while (!raw.empty()) {
    const std::size_t end = raw.find('&');
    const std::string_view pair = raw.substr(0, end);
    raw.remove_prefix(end == std::string_view::npos ? raw.size() : end + 1);
    if (pair.empty()) continue;
    if (count_ == kMaxQueryParams)
      return {ErrorCode::kInvalidArgument, "Too many query parameters"};
    const std::size_t equals = pair.find('=');
    params_[count_++] = {pair.substr(0, equals), equals == std::string_view::npos
                                                     ? std::string_view()
                                                     : pair.substr(equals + 1)};
  }
  return {};
}

const QueryParam* Query::Find(std::string_view name) const {
  for (const QueryParam& param : *this) {
    if (EqualsDecoded(param.name, name)) return &param;
  }
  return nullptr;
}

}  // namespace sluice::s3
