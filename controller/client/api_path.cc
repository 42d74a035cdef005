#include "controller/client/api_path.h"

#include <fmt/format.h>

#include "controller/http/url.h"

namespace sluice::client {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kUsualPathBytes = 192;  // query included: one allocation

// A name that could climb out of its place, or would stand for the whole collection.
base::Status CheckSegment(const meta::Resource& resource, std::string_view what,
                          std::string_view text) {
  if (text.empty()) {
    return base::InvalidArgument(fmt::format("{}: {} is missing", resource.GroupResource(), what));
  }
  if (text == "." || text == ".." || text.find('/') != std::string_view::npos ||
      text.find('%') != std::string_view::npos) {
    return base::InvalidArgument(
        fmt::format("bad {}: {} \"{}\"", resource.GroupResource(), what, text));
  }
  return base::OkStatus();
}

void AddSelectors(const std::string& label, const std::string& field, Parameters* out) {
  if (!label.empty()) out->push_back({"labelSelector", label});
  if (!field.empty()) out->push_back({"fieldSelector", field});
}

}  // namespace

base::StatusOr<std::string> CollectionPath(const meta::Resource& resource, std::string_view ns) {
  std::string path;
  path.reserve(kUsualPathBytes);
  path.append(resource.group.empty() ? "/api/" : "/apis/");
  if (!resource.group.empty()) path.append(resource.group).append("/");
  path.append(resource.version);
  if (!ns.empty()) {
    if (!resource.namespaced) {
      return base::InvalidArgument(fmt::format("{} has no namespaces", resource.GroupResource()));
    }
    SLUICE_RETURN_IF_ERROR(CheckSegment(resource, "namespace", ns));
    path.append("/namespaces/").append(http::PercentEncode(ns));
  }
  path.append("/").append(resource.plural);
  return path;
}

base::StatusOr<std::string> ObjectPath(const meta::Resource& resource, const meta::Key& key,
                                       std::string_view subresource) {
  SLUICE_RETURN_IF_ERROR(CheckSegment(resource, "name", key.name));
  if (resource.namespaced) SLUICE_RETURN_IF_ERROR(CheckSegment(resource, "namespace", key.ns));
  SLUICE_ASSIGN_OR_RETURN(std::string path, CollectionPath(resource, key.ns));
  path.append("/").append(http::PercentEncode(key.name));
  if (!subresource.empty()) path.append("/").append(subresource);
  return path;
}

std::string ListQuery(const ListOptions& options, std::string_view continue_token) {
  Parameters out;
  AddSelectors(options.label_selector, options.field_selector, &out);
  if (options.limit > 0) out.push_back({"limit", std::to_string(options.limit)});
  if (!continue_token.empty()) {
    out.push_back({"continue", std::string(continue_token)});
  } else if (!options.resource_version.empty()) {
    out.push_back({"resourceVersion", options.resource_version});
  }
  return http::EncodeQuery(out);
}

std::string WatchQuery(const WatchOptions& options) {
  Parameters out = {{"watch", "1"},
                    {"allowWatchBookmarks", "true"},
                    {"timeoutSeconds", std::to_string(options.timeout.count())}};
  AddSelectors(options.label_selector, options.field_selector, &out);
  if (!options.resource_version.empty()) {
    out.push_back({"resourceVersion", options.resource_version});
  }
  if (options.send_initial_events) {
    out.push_back({"sendInitialEvents", "true"});
    out.push_back({"resourceVersionMatch", "NotOlderThan"});
  }
  return http::EncodeQuery(out);
}

std::string ApplyQuery(const ApplyOptions& options) {
  std::string out = "fieldManager=" + http::PercentEncode(options.field_manager);
  if (options.force) out += "&force=true";
  if (options.dry_run) out += "&dryRun=All";
  return out;
}

}  // namespace sluice::client
