#include "controller/client/status_text.h"

#include <nlohmann/json.hpp>

namespace sluice::client {

base::StatusOr<meta::ObjectPtr> ApplyStatusText(StatusWriter& writer,
                                                const meta::Resource& resource,
                                                const meta::Key& key, std::string_view text,
                                                const ApplyOptions& options) {
  if (auto* const able = dynamic_cast<StatusTextWriter*>(&writer)) {
    return able->ApplyStatusText(resource, key, text, options);
  }
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  if (object.is_discarded()) return base::InvalidArgument("the status to apply is not JSON");
  return writer.ApplyStatus(resource, object, options);
}

}  // namespace sluice::client
