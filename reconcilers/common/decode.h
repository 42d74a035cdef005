// A cached object as the message of its kind. Include from .cc files that include the message.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "controller/base/status.h"
#include "controller/meta/object.h"

namespace sluice::common {

// Errors: InvalidArgument naming the path that does not read.
template <typename Message>
base::StatusOr<std::shared_ptr<const Message>> Decode(const meta::Object& object) {
  auto message = std::make_shared<Message>();
  SLUICE_RETURN_IF_ERROR(types::FromJson(object.ToJson(), message.get()));
  return std::shared_ptr<const Message>(std::move(message));
}

}  // namespace sluice::common
