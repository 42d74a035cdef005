#include "reconcilers/site/inputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/v1alpha1/release.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "api/v1alpha1/tenant.pb.h"
#include "controller/base/time_format.h"
#include "controller/meta/json_scanner.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/site/hardware.h"

namespace sluice::site {

bool Selects(const meta::Object& site, const meta::Object& node) {
  meta::JsonScanner selector(meta::FindMember(site.spec_json(), "nodeSelector"));
  if (selector.Peek() != '{') return false;
  bool any = false, all = true;
  const bool read = selector.Members([&](const meta::JsonString& key) {
    any = true;
    meta::JsonString value;
    if (selector.Peek() != '"') {
      all = false;
      return selector.SkipValue();
    }
    if (!selector.ReadString(&value)) return false;
    all = all && node.Label(key.Decode()) == value.Decode();
    return true;
  });
  return read && any && all;
}

bool IsPast(const std::optional<base::WallTime>& end, base::WallTime now) {
  return end && now >= *end;
}

ReleaseLife LifeOf(const v1alpha1::Site& site, const meta::ObjectPtr& release) {
  ReleaseLife out;
  if (!site.spec().release().has_release_ref()) return out;
  out.name = site.spec().release().release_ref().name();
  if (release == nullptr) return out;
  const auto decoded = common::Decode<v1alpha1::Release>(*release);
  if (!decoded.ok()) return out;
  out.found = true;
  const auto until = base::ParseRfc3339((*decoded)->spec().supported_until());
  if (until.ok()) out.supported_until = *until;
  const auto end = base::ParseRfc3339((*decoded)->spec().end_of_life());
  if (end.ok()) out.end_of_life = *end;
  return out;
}

namespace {

void ReadClass(const Stores& stores, Inputs& in) {
  const std::string& name = in.site->spec().class_ref().name();
  const meta::ObjectPtr object = stores.classes.Get({"", name});
  if (object == nullptr) {
    in.class_status = base::NotFound(
        fmt::format("SiteClass \"{}\", named by spec.classRef, does not exist", name));
    return;
  }
  auto site_class = common::Decode<v1alpha1::SiteClass>(*object);
  if (!site_class.ok()) {
    in.class_status = site_class.status().Annotate("SiteClass " + name);
    return;
  }
  in.site_class = *site_class;
  // Without its plan agents run all the same; the class's own condition tells.
  in.plan = common::PlanOfClass(name, stores.classes, stores.plans);
}

// An entry named as a CA is sent to agents as it is: whoever may write a Site must not have a
// private key, or anything else of our namespace, sent along.
base::StatusOr<std::string> Certificates(const meta::Object& secret, const std::string& key) {
  SLUICE_ASSIGN_OR_RETURN(std::string pem, common::SecretValue(secret, key));
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kCertificate = "-----BEGIN CERTIFICATE-----";
  bool any = false;
  for (auto at = pem.find(kBegin); at != std::string::npos; at = pem.find(kBegin, at + 1)) {
    any = pem.compare(at, kCertificate.size(), kCertificate) == 0;
    if (!any) break;
  }
  if (any) return pem;
  return base::InvalidArgument(
      fmt::format("Secret {}: key {} holds something else than PEM "
                  "certificates",
                  secret.key().ToString(), key));
}

base::StatusOr<OriginSecrets> ReadOrigin(const v1alpha1::S3Origin& origin,
                                         common::SecretReader& secrets) {
  OriginSecrets out;
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr secret,
                          secrets.Get(secrets.own_namespace(), origin.credentials_ref().name()));
  SLUICE_ASSIGN_OR_RETURN(std::vector<common::S3Keys> keys, common::ParseS3Keys(*secret));
  out.keys = std::move(keys.front());
  if (origin.has_ca_ref()) {
    SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr ca,
                            secrets.Get(secrets.own_namespace(), origin.ca_ref().name()));
    const std::string key = origin.ca_ref().key().empty() ? "ca.crt" : origin.ca_ref().key();
    SLUICE_ASSIGN_OR_RETURN(out.ca_pem, Certificates(*ca, key));
  }
  return out;
}

}  // namespace

base::StatusOr<Inputs> ReadInputs(const meta::ObjectPtr& object, const Stores& stores,
                                  common::SecretReader& secrets) {
  Inputs in;
  in.object = object;
  in.name = std::string(object->name());
  SLUICE_ASSIGN_OR_RETURN(in.site, common::Decode<v1alpha1::Site>(*object));
  ReadClass(stores, in);
  in.elsewhere = in.site->spec().has_cluster();
  for (const v1alpha1::Origin& origin : in.site->spec().origins()) {
    in.origin_secrets.emplace(origin.name(), ReadOrigin(origin.s3(), secrets));
  }
  common::SiteTenants tenants =
      common::ReadTenants(in.name, in.site->status().stage(), in.plan.get(), stores.tenants);
  in.bindings = std::move(tenants.bindings);
  in.tenants = std::move(tenants.tenants);
  for (const common::Binding& binding : in.bindings) {
    if (!binding.bound) continue;
    in.tenant_keys.emplace(
        binding.tenant,
        common::KeysOfTenant(binding.tenant, *in.tenants.at(binding.tenant), secrets));
  }
  return in;
}

void ReadPlace(const Place& place, Inputs& in) {
  in.cluster_status = place.state;
  in.nodes_known = place.nodes != nullptr;
  if (!in.nodes_known) return;
  for (const meta::ObjectPtr& node : place.nodes->Unsorted()) {
    if (!Selects(*in.object, *node)) continue;
    ++in.selected;
    if (in.site_class == nullptr) continue;
    std::string lacks = Mismatch(in.site_class->spec().hardware(), *node);
    if (!lacks.empty()) in.mismatched.push_back({std::string(node->name()), std::move(lacks)});
  }
  std::ranges::sort(in.mismatched, {}, &Inputs::Mismatched::node);
}

}  // namespace sluice::site
