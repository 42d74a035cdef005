#include "controller/webhook/review.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/webhook/limits.h"

namespace sluice::webhook {

using nlohmann::json;

base::StatusOr<json> ParseReview(std::string_view bytes, std::string_view kind,
                                 std::string_view api_version) {
  bool too_deep = false;
  // Whoever reaches the port may send; printing and comparing JSON is recursive.
  const auto shallow = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  json review = json::parse(bytes, shallow, false);
  if (too_deep) return base::InvalidArgument("the review is nested too deeply");
  if (!review.is_object()) return base::InvalidArgument("the body is not JSON of an object");
  if (TextOf(review, "kind") != kind || TextOf(review, "apiVersion") != api_version) {
    return base::InvalidArgument(fmt::format("the body is no {} of {}", kind, api_version));
  }
  const auto request = review.find("request");
  if (request == review.end() || !request->is_object() || TextOf(*request, "uid").empty()) {
    return base::InvalidArgument("the review has no request with a uid");
  }
  return review;
}

std::string TextOf(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace sluice::webhook
