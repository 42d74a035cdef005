#include "controller/webhook/conversion.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/base/text.h"
#include "controller/webhook/limits.h"
#include "controller/webhook/review.h"

namespace sluice::webhook {

using base::Status;
using nlohmann::json;

namespace {

constexpr const char* kConversionVersion = "apiextensions.k8s.io/v1";
constexpr const char* kConversionKind = "ConversionReview";

// What a converter must not touch.
json Fixed(const json& object) {
  json metadata = object.value("metadata", json::object());
  if (metadata.is_object()) {
    metadata.erase("labels");
    metadata.erase("annotations");
  }
  return {{"kind", TextOf(object, "kind")}, {"metadata", std::move(metadata)}};
}

std::string NameOf(const json& object) {
  const auto metadata = object.find("metadata");
  return metadata != object.end() && metadata->is_object() ? TextOf(*metadata, "name") : "";
}

Status ConvertOne(json& object, const std::string& api_version, const Converter& converter) {
  if (!object.is_object()) return base::InvalidArgument("not an object");
  if (TextOf(object, "apiVersion") == api_version) return base::OkStatus();
  const json before = Fixed(object);
  SLUICE_RETURN_IF_ERROR(converter(object, api_version));
  if (!object.is_object() || Fixed(object) != before) {
    return base::Internal("the converter changed kind or metadata");
  }
  object["apiVersion"] = api_version;
  return base::OkStatus();
}

}  // namespace

base::StatusOr<std::string> ConvertReview(std::string_view bytes, const Converter& converter) {
  SLUICE_ASSIGN_OR_RETURN(json review, ParseReview(bytes, kConversionKind, kConversionVersion));
  json& request = review["request"];
  const std::string desired = TextOf(request, "desiredAPIVersion");
  json objects = request.value("objects", json::array());
  if (desired.empty() || !objects.is_array()) {
    return base::InvalidArgument("the request lacks desiredAPIVersion or objects");
  }
  json response = {{"uid", TextOf(request, "uid")}, {"result", {{"status", "Success"}}}};
  for (json& object : objects) {
    const std::string name = object.is_object() ? NameOf(object) : "";
    if (const Status status = ConvertOne(object, desired, converter); !status.ok()) {
      response["result"] = {
          {"status", "Failure"},
          {"message", base::Cut(fmt::format("\"{}\" to {}: {}", name, desired, status.message()),
                                kMaxMessageBytes)}};
      break;
    }
  }
  if (response["result"]["status"] == "Success") {
    response["convertedObjects"] = std::move(objects);
  } else {
    response["convertedObjects"] = json::array();
  }
  const json answer = {
      {"apiVersion", kConversionVersion}, {"kind", kConversionKind}, {"response", response}};
  return answer.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::webhook
