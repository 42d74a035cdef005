#include "reconcilers/agents/content.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <utility>

#include "controller/base/digest.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {
namespace {

constexpr std::size_t kVersionDigits = 32;  // 128 bits of a SHA-256

// The same bytes in every replica of one build: maps would come in random order, so there are none.
std::string Deterministic(const google::protobuf::MessageLite& message) {
  std::string out;
  {
    google::protobuf::io::StringOutputStream stream(&out);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return out;
}

Offer MakeOffer(const EpochRecord& record, const Order& order, const std::string& version,
                const agent::v1::AgentConfig& config, const agent::v1::Credentials& credentials) {
  agent::v1::ControllerMessage message;
  auto& out = *message.mutable_configuration();
  out.set_version(version);
  out.mutable_order()->set_lineage(order.lineage);
  out.mutable_order()->set_epoch(order.epoch);
  out.mutable_order()->set_revision(order.revision);
  for (const auto& old : record.supersedes) out.mutable_order()->add_supersedes(old);
  *out.mutable_config() = config;
  *out.mutable_credentials() = credentials;
  return {version, order, std::make_shared<const std::string>(Deterministic(message))};
}

}  // namespace

base::StatusOr<std::shared_ptr<const Derived>> Derive(const std::string& site,
                                                      const SiteContent& content,
                                                      const std::string& hash_key) {
  SLUICE_CHECK(content.config != nullptr && content.credentials != nullptr);
  auto derived = std::make_shared<Derived>();
  derived->config = *content.config;
  derived->credentials = *content.credentials;
  const std::string secrets =
      base::HexEncode(base::HmacSha256(hash_key, Deterministic(*content.credentials)));
  const auto version_of = [&](const agent::v1::AgentConfig& config) {
    return base::Sha256Hex(Deterministic(config) + secrets).substr(0, kVersionDigits);
  };
  const auto fits = [&](const agent::v1::AgentConfig& config) -> base::Status {
    const auto bytes = config.ByteSizeLong() + content.credentials->ByteSizeLong() + 4096;
    if (bytes <= static_cast<std::size_t>(kMaxDownwardMessageBytes)) return base::OkStatus();
    return base::InvalidArgument(
        fmt::format("site {}: a configuration of {} bytes; at most {} can be sent", site, bytes,
                    kMaxDownwardMessageBytes));
  };
  SLUICE_RETURN_IF_ERROR(fits(*content.config));
  derived->version = version_of(*content.config);
  std::string all = derived->version;
  for (const auto& [node, config] : content.per_node) {
    SLUICE_RETURN_IF_ERROR(fits(*config));
    auto& own = derived->per_node[node];
    own.config = *config;
    own.version = version_of(*config);
    all += fmt::format("\n{}={}", node, own.version);
  }
  derived->digest =
      derived->per_node.empty() ? derived->version : base::Sha256Hex(all).substr(0, kVersionDigits);
  return std::shared_ptr<const Derived>(std::move(derived));
}

std::shared_ptr<const Served> Serve(const EpochRecord& record, const Order& order,
                                    const Derived& derived) {
  auto served = std::make_shared<Served>();
  served->order = order;
  served->digest = derived.digest;
  served->common = MakeOffer(record, order, derived.version, derived.config, derived.credentials);
  for (const auto& [node, own] : derived.per_node) {
    served->per_node[node] = MakeOffer(record, order, own.version, own.config, derived.credentials);
  }
  return served;
}

}  // namespace sluice::agents
