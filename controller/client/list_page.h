// Reads one page of a LIST answer in a single pass, objects and all. Pure.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/client/client.h"

namespace sluice::client {

struct ListPage {
  ObjectList objects;
  std::string continue_token;  // empty: the last page
};

// Errors: DataLoss when the text is no list or an item no object.
base::StatusOr<ListPage> ParseListPage(const meta::Resource& resource, std::string_view text);

}  // namespace sluice::client
