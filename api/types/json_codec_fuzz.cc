// Whatever JSON comes: reading either refuses it with InvalidArgument or gives a message that is
// written and read again unchanged. The first byte picks the kind.
#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "api/types/json_codec.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "api/v1alpha1/tenant.pb.h"
#include "controller/base/check.h"

namespace {

const google::protobuf::Message& PrototypeOf(std::uint8_t selector) {
  using namespace sluice::v1alpha1;  // NOLINT: only here
  switch (selector % 6) {
    case 0:
      return SiteClass::default_instance();
    case 1:
      return Site::default_instance();
    case 2:
      return Tenant::default_instance();
    case 3:
      return ServiceLevelObjective::default_instance();
    case 4:
      return StagePlan::default_instance();
    default:
      return Promotion::default_instance();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto value = nlohmann::json::parse(data + 1, data + size, nullptr, false);
  if (value.is_discarded()) return 0;
  const std::unique_ptr<google::protobuf::Message> message(PrototypeOf(data[0]).New());
  const sluice::base::Status status = sluice::types::FromJson(value, message.get());
  if (!status.ok()) {
    SLUICE_CHECK(status.code() == sluice::base::Code::kInvalidArgument);
    return 0;
  }
  const nlohmann::json written = sluice::types::ToJson(*message);
  const std::unique_ptr<google::protobuf::Message> again(message->New());
  SLUICE_CHECK(sluice::types::FromJson(written, again.get()).ok());
  SLUICE_CHECK(sluice::types::ToJson(*again) == written);
  return 0;
}
