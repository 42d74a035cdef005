#include "controller/client/client.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "controller/client/api_path.h"
#include "controller/client/config.h"
#include "controller/client/limits.h"
#include "controller/client/line_splitter.h"
#include "controller/client/list_page.h"
#include "controller/client/status_text.h"
#include "controller/client/transport.h"

namespace sluice::client {
namespace {

using meta::Key;
using meta::ObjectPtr;
using meta::Resource;
using nlohmann::json;

constexpr char kJson[] = "application/json";
constexpr char kApply[] = "application/apply-patch+yaml";  // JSON is YAML
constexpr char kPartial[] =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
constexpr char kPartialList[] =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

base::StatusOr<std::string> Dump(const json& value) {
  try {
    return value.dump();
  } catch (const json::exception&) {
    return base::InvalidArgument("a string is not UTF-8");
  }
}

Key KeyOf(const json& object) {
  Key key;
  if (!object.is_object()) return key;
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return key;
  for (const auto& [field, out] : {std::pair{"namespace", &key.ns}, {"name", &key.name}}) {
    const auto found = metadata->find(field);
    if (found != metadata->end() && found->is_string()) *out = found->get<std::string>();
  }
  return key;
}

// The object as text; kind and apiVersion are put in where they are missing.
base::StatusOr<std::string> BodyOf(const Resource& resource, const json& object) {
  if (!object.is_object()) return base::InvalidArgument("the object is not a JSON object");
  std::string missing;
  if (!object.contains("kind")) missing += fmt::format(R"("kind":"{}",)", resource.kind);
  if (!object.contains("apiVersion")) {
    missing += fmt::format(R"("apiVersion":"{}",)", resource.ApiVersion());
  }
  SLUICE_ASSIGN_OR_RETURN(std::string text, Dump(object));
  if (missing.empty()) return text;
  if (object.empty()) missing.pop_back();  // the comma
  text.insert(1, missing);
  return text;
}

std::string WithQuery(std::string path, const std::string& query) {
  if (!query.empty()) path.append("?").append(query);
  return path;
}

class ClientImpl final : public Client, public StatusTextWriter {
 public:
  ClientImpl(std::unique_ptr<Transport> transport, std::chrono::milliseconds watch_silence)
      : transport_(std::move(transport)), watch_silence_(watch_silence) {}

  base::StatusOr<ObjectPtr> Get(const Resource& resource, const Key& key) override {
    SLUICE_ASSIGN_OR_RETURN(const std::string path, ObjectPath(resource, key));
    return Exchange(resource, {.target = path});
  }
  base::StatusOr<ObjectList> List(const Resource& resource, const ListOptions& options) override;
  base::StatusOr<std::string> ListPages(const Resource& resource, const ListOptions& options,
                                        const PageSink& sink) override;

  base::StatusOr<ObjectPtr> Create(const Resource& resource, const json& object) override {
    if (resource.namespaced && KeyOf(object).ns.empty()) {
      return base::InvalidArgument(resource.GroupResource() + ": namespace is missing");
    }
    SLUICE_ASSIGN_OR_RETURN(const std::string path, CollectionPath(resource, KeyOf(object).ns));
    return Write(resource, "POST", path, kJson, object);
  }
  base::StatusOr<ObjectPtr> Update(const Resource& resource, const json& object) override {
    SLUICE_ASSIGN_OR_RETURN(const std::string path, ObjectPath(resource, KeyOf(object)));
    return Write(resource, "PUT", path, kJson, object);
  }
  base::StatusOr<ObjectPtr> Apply(const Resource& resource, const json& object,
                                  const ApplyOptions& options) override {
    return ApplyTo(resource, object, options, "");
  }
  base::StatusOr<ObjectPtr> ApplyStatus(const Resource& resource, const json& object,
                                        const ApplyOptions& options) override {
    return ApplyTo(resource, object, options, "status");
  }
  base::StatusOr<ObjectPtr> ApplyStatusText(const Resource& resource, const Key& key,
                                            std::string_view text,
                                            const ApplyOptions& options) override {
    SLUICE_ASSIGN_OR_RETURN(const std::string target,
                            ApplyTarget(resource, key, options, "status"));
    return Exchange(resource, {.method = "PATCH",
                               .target = target,
                               .accept = kPartial,
                               .content_type = kApply,
                               .body = text});
  }
  base::StatusOr<ObjectPtr> UpdateStatus(const Resource& resource, const json& object) override {
    SLUICE_ASSIGN_OR_RETURN(const std::string path, ObjectPath(resource, KeyOf(object), "status"));
    return Write(resource, "PUT", path, kJson, object);
  }
  base::StatusOr<ObjectPtr> Patch(const Resource& resource, const Key& key, PatchType type,
                                  const json& patch) override {
    SLUICE_ASSIGN_OR_RETURN(const std::string path, ObjectPath(resource, key));
    SLUICE_ASSIGN_OR_RETURN(const std::string body, Dump(patch));
    const char* content_type =
        type == PatchType::kMerge ? "application/merge-patch+json" : "application/json-patch+json";
    return Exchange(
        resource, {.method = "PATCH", .target = path, .content_type = content_type, .body = body});
  }
  base::Status Delete(const Resource& resource, const Key& key,
                      const DeleteOptions& options) override;
  base::Status Watch(const Resource& resource, const WatchOptions& options, const WatchLine& line,
                     std::stop_token stop) override;

  base::StatusOr<std::string> Raw(std::string_view method, std::string_view path,
                                  std::string_view body) override {
    SLUICE_ASSIGN_OR_RETURN(http::Response answer,
                            transport_->Send({.method = method,
                                              .target = path,
                                              .content_type = body.empty() ? "" : kJson,
                                              .body = body}));
    return std::move(answer.body);
  }
  void Observe(RequestObserver observer) override { transport_->Observe(std::move(observer)); }
  void Stop() override { transport_->Stop(); }

 private:
  base::StatusOr<ObjectPtr> Exchange(const Resource& resource, const Transport::Call& call) {
    SLUICE_ASSIGN_OR_RETURN(const http::Response answer, transport_->Send(call));
    auto object = meta::Object::ParseAs(resource, answer.body);
    // The server took the call and answered nonsense: what it did is unknown.
    if (!object.ok()) return base::DataLoss(object.status().message()).WithReason("BadAnswer");
    return object;
  }
  base::StatusOr<ObjectPtr> Write(const Resource& resource, const char* method,
                                  const std::string& target, const char* content_type,
                                  const json& object) {
    SLUICE_ASSIGN_OR_RETURN(const std::string body, BodyOf(resource, object));
    return Exchange(
        resource, {.method = method, .target = target, .content_type = content_type, .body = body});
  }
  base::StatusOr<ObjectPtr> ApplyTo(const Resource& resource, const json& object,
                                    const ApplyOptions& options, std::string_view subresource) {
    SLUICE_ASSIGN_OR_RETURN(const std::string target,
                            ApplyTarget(resource, KeyOf(object), options, subresource));
    return Write(resource, "PATCH", target, kApply, object);
  }
  static base::StatusOr<std::string> ApplyTarget(const Resource& resource, const Key& key,
                                                 const ApplyOptions& options,
                                                 std::string_view subresource) {
    if (options.field_manager.empty()) {
      return base::InvalidArgument("server-side apply needs a field manager");
    }
    SLUICE_ASSIGN_OR_RETURN(std::string path, ObjectPath(resource, key, subresource));
    return WithQuery(std::move(path), ApplyQuery(options));
  }

  const std::unique_ptr<Transport> transport_;
  const std::chrono::milliseconds watch_silence_;
};

base::StatusOr<ObjectList> ClientImpl::List(const Resource& resource, const ListOptions& options) {
  ListOptions asked = options;
  while (true) {
    ObjectList all;
    bool too_many = false;
    auto version = ListPages(resource, asked, [&](ObjectList page) {
      too_many = all.items.size() + page.items.size() > kMaxListItems;
      all.items.insert(all.items.end(), page.items.begin(), page.items.end());
      return !too_many;
    });
    if (version.ok()) {
      all.resource_version = std::move(version).value();
      return all;
    }
    if (too_many) return base::ResourceExhausted("the list has too many items");
    if (version.status().code() != base::Code::kOutOfRange || asked.limit == 0) {
      return version.status();
    }
    asked.limit = 0;  // the pages took too long: all in one
  }
}

base::StatusOr<std::string> ClientImpl::ListPages(const Resource& resource,
                                                  const ListOptions& options,
                                                  const PageSink& sink) {
  SLUICE_ASSIGN_OR_RETURN(const std::string path, CollectionPath(resource, options.ns));
  std::string continue_token;
  while (true) {
    const std::string target = WithQuery(path, ListQuery(options, continue_token));
    Transport::Call call{.target = target};
    if (options.metadata_only) call.accept = kPartialList;
    call.stop = options.stop;
    SLUICE_ASSIGN_OR_RETURN(const http::Response answer, transport_->Send(call));
    SLUICE_ASSIGN_OR_RETURN(ListPage page, ParseListPage(resource, answer.body));
    continue_token = std::move(page.continue_token);
    std::string version = page.objects.resource_version;
    if (!sink(std::move(page.objects))) {
      return base::Cancelled("the list was not wanted further");
    }
    if (continue_token.empty()) return version;
  }
}

base::Status ClientImpl::Delete(const Resource& resource, const Key& key,
                                const DeleteOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const std::string path, ObjectPath(resource, key));
  json body = {{"kind", "DeleteOptions"}, {"apiVersion", "v1"}};
  switch (options.propagation) {
    case Propagation::kBackground:
      body["propagationPolicy"] = "Background";
      break;
    case Propagation::kForeground:
      body["propagationPolicy"] = "Foreground";
      break;
    case Propagation::kOrphan:
      body["propagationPolicy"] = "Orphan";
      break;
  }
  if (!options.preconditions.uid.empty()) body["preconditions"]["uid"] = options.preconditions.uid;
  if (!options.preconditions.resource_version.empty()) {
    body["preconditions"]["resourceVersion"] = options.preconditions.resource_version;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string text, Dump(body));
  auto answer =
      transport_->Send({.method = "DELETE", .target = path, .content_type = kJson, .body = text});
  return answer.ok() ? base::OkStatus() : answer.status();
}

base::Status ClientImpl::Watch(const Resource& resource, const WatchOptions& options,
                               const WatchLine& line, std::stop_token stop) {
  SLUICE_ASSIGN_OR_RETURN(const std::string path, CollectionPath(resource, options.ns));
  LineSplitter splitter(kMaxWatchLineBytes);
  const std::string target = WithQuery(path, WatchQuery(options));
  Transport::Call call{.target = target};
  if (options.metadata_only) call.accept = kPartial;
  call.timeout = options.timeout + kWatchGrace;
  call.silence = watch_silence_;
  call.stop = std::move(stop);
  const auto answer =
      transport_->Send(call, [&](std::string_view piece) { return splitter.Feed(piece, line); });
  if (!answer.ok()) return answer.status();
  if (splitter.pending_bytes() > 0) {
    return base::Unavailable("the watch was cut within an event").WithReason("ConnectionCut");
  }
  return base::OkStatus();
}

}  // namespace

base::StatusOr<std::unique_ptr<Client>> NewClient(const Config& config) {
  static base::RealClock clock;
  return NewClient(config, clock);
}

base::StatusOr<std::unique_ptr<Client>> NewClient(const Config& config, base::Clock& clock) {
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<Transport> transport, Transport::Make(config, clock));
  const bool told = config.watch_silence.count() > 0;
  return std::unique_ptr<Client>(
      new ClientImpl(std::move(transport), told ? config.watch_silence : kWatchSilence));
}

base::StatusOr<ServerVersion> GetServerVersion(Client& client) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, client.Raw("GET", "/version", ""));
  const json answer = json::parse(text, nullptr, false);
  ServerVersion version;
  // Some distributions write the minor version as "33+".
  const auto number = [&](const char* field, int* out) {
    if (!answer.is_object() || !answer.contains(field) || !answer.at(field).is_string()) {
      return false;
    }
    const std::string& digits = answer.at(field).get_ref<const std::string&>();
    return std::from_chars(digits.data(), digits.data() + digits.size(), *out).ec == std::errc();
  };
  if (!number("major", &version.major) || !number("minor", &version.minor)) {
    return base::DataLoss("the API server told no version");
  }
  return version;
}

}  // namespace sluice::client
