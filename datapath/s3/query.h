// The parameters of a query string, as sent (still encoded), in order. No allocation.
// Thread rule: owned by one thread; views point into the request's buffer.
#pragma once

#include <array>
#include <string_view>

#include "datapath/s3/error.h"
#include "datapath/s3/limits.h"

namespace sluice::s3 {

struct QueryParam {
  std::string_view name;   // raw
  std::string_view value;  // raw; empty also when there was no '='
};

class Query {
 public:
  // InvalidURI: a malformed escape. InvalidArgument: more than kMaxQueryParams.
  Error Parse(std::string_view raw);
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  const QueryParam& operator[](std::size_t i) const { return params_[i]; }
  const QueryParam* begin() const { return params_.data(); }
  const QueryParam* end() const { return params_.data() + count_; }
  // The first parameter whose decoded name is `name`; nullptr when there is none.
  const QueryParam* Find(std::string_view name) const;
  bool Has(std::string_view name) const { return Find(name) != nullptr; }

 private:
  std::size_t count_ = 0;
  std::array<QueryParam, kMaxQueryParams> params_;  // [0, count_) are set
};

}  // namespace sluice::s3
