#include "controller/client/api_path.h"

#include <fmt/format.h>

#include "controller/http/url.h"

namespace sluice::client {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// A name that could climb out of its place, or would stand for the whole collection.
base::Status CheckSegment(std::string_view what, std::string_view text) {
  if (text.empty()) return base::InvalidArgument(fmt::format("{} is missing", what));
  if (text == "." || text == ".." || text.find_first_of("/%") != std::string_view::npos) {
    return base::InvalidArgument(fmt::format("bad {} \"{}\"", what, text));
  }
  return base::OkStatus();
}

void AddSelectors(const std::string& label, const std::string& field, Parameters* out) {
  if (!label.empty()) out->push_back({"labelSelector", label});
  if (!field.empty()) out->push_back({"fieldSelector", field});
}

}  // namespace

base::StatusOr<std::string> CollectionPath(const meta::Resource& resource, std::string_view ns) {
  std::string path = (resource.group.empty() ? "/api/" : "/apis/") + resource.ApiVersion();
  if (!ns.empty()) {
    if (!resource.namespaced) {
      return base::InvalidArgument(fmt::format("{} has no namespaces", resource.GroupResource()));
    }
    SLUICE_RETURN_IF_ERROR(CheckSegment("namespace", ns));
    path += "/namespaces/" + http::PercentEncode(ns);
  }
  return path + "/" + resource.plural;
}

base::StatusOr<std::string> ObjectPath(const meta::Resource& resource, const meta::Key& key,
                                       std::string_view subresource) {
  SLUICE_RETURN_IF_ERROR(CheckSegment(resource.GroupResource() + ": name", key.name));
  if (resource.namespaced) {
    SLUICE_RETURN_IF_ERROR(CheckSegment(resource.GroupResource() + ": namespace", key.ns));
  }
  SLUICE_ASSIGN_OR_RETURN(std::string path, CollectionPath(resource, key.ns));
  path += "/" + http::PercentEncode(key.name);
  if (!subresource.empty()) path += "/" + std::string(subresource);
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
  Parameters out = {{"fieldManager", options.field_manager}};
  if (options.force) out.push_back({"force", "true"});
  if (options.dry_run) out.push_back({"dryRun", "All"});
  return http::EncodeQuery(out);
}

}  // namespace sluice::client
