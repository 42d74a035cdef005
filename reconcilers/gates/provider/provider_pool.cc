#include "reconcilers/gates/provider/provider_pool.h"

#include <algorithm>

#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "controller/base/digest.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

base::StatusOr<std::string> Read(common::SecretReader& secrets, const v1alpha1::SecretKeyRef& ref,
                                 const char* default_key) {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr secret,
                          secrets.Get(secrets.own_namespace(), ref.name()));
  return common::SecretValue(*secret, ref.key().empty() ? default_key : ref.key());
}

std::string TrimmedEnd(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

base::StatusOr<PrometheusOptions> ProviderPool::Options(const v1alpha1::SiteSpec& spec) {
  const v1alpha1::PrometheusEndpoint& endpoint = spec.prometheus();
  PrometheusOptions out;
  out.url = endpoint.url();
  if (endpoint.has_ca_ref()) {
    auto ca = Read(secrets_, endpoint.ca_ref(), "ca.crt");
    if (!ca.ok()) return ca.status().Annotate("prometheus.caRef");
    out.ca_pem = *std::move(ca);
  }
  if (endpoint.has_bearer_token_ref()) {
    auto token = Read(secrets_, endpoint.bearer_token_ref(), "token");
    if (!token.ok()) return token.status().Annotate("prometheus.bearerTokenRef");
    out.bearer_token = TrimmedEnd(*std::move(token));
  }
  return out;
}

Source ProviderPool::Find(const std::string& site, const v1alpha1::SiteSpec& spec) {
  Source out;
  out.scrape_interval = spec.prometheus().scrape_interval_seconds() > 0
                            ? std::chrono::seconds(spec.prometheus().scrape_interval_seconds())
                            : kScrapeInterval;
  if (!spec.has_prometheus() || spec.prometheus().url().empty()) {
    out.misconfigured = "the site names no Prometheus (spec.prometheus)";
    return out;
  }
  auto options = Options(spec);
  if (!options.ok()) {
    out.error = options.status().message();
    return out;
  }
  // A digest, so that no token is kept beside the one in the provider.
  const std::string fingerprint = base::Sha256Hex(
      options->url + "\n" + options->ca_pem.value_or("") + "\n" + options->bearer_token);
  const std::lock_guard lock(mutex_);
  Kept& kept = kept_[site];
  kept.used = ++uses_;
  if (kept.provider == nullptr || kept.fingerprint != fingerprint) {
    auto made = NewPrometheus(*options);
    if (!made.ok()) {
      kept_.erase(site);
      out.error = made.status().message();
      return out;
    }
    kept.provider = *std::move(made);
    kept.fingerprint = fingerprint;
  }
  out.provider = kept.provider;
  if (kept_.size() > kMaxProviders) {
    const auto oldest = std::min_element(
        kept_.begin(), kept_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    kept_.erase(oldest);
  }
  return out;
}

void ProviderPool::Forget(const std::string& site) {
  const std::lock_guard lock(mutex_);
  kept_.erase(site);
}

}  // namespace sluice::gates
