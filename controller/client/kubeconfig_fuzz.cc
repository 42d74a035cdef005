// Any text: no crash, and inline_only lets no path, proxy, plugin or other name through.
#include <cstdint>

#include "controller/base/check.h"
#include "controller/client/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)sluice::client::ParseKubeconfig(text, {});
  const auto config = sluice::client::ParseKubeconfig(text, {.inline_only = true});
  if (!config.ok()) return 0;
  SLUICE_CHECK(!config->exec && config->proxy_url.empty() && !config->insecure_skip_verify);
  SLUICE_CHECK(config->ca_file.empty() && config->cert_file.empty() && config->key_file.empty() &&
               config->token_file.empty() && config->impersonate.empty());
  return 0;
}
