// Any text as an agent's configuration file: no crash; what is taken passes the rules.
#include <cstdint>
#include <string>

#include "controller/base/check.h"
#include "datapath/control/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // A fuzzer must not make us open files of its choice.
  if (text.find("File") != std::string::npos) return 0;
  const auto config = sluice::control::ParseYaml(text);
  if (config.ok()) {
    SLUICE_CHECK(sluice::control::Validate(*config).ok());
  } else {
    SLUICE_CHECK(config.status().code() == sluice::base::Code::kInvalidArgument);
    SLUICE_CHECK(!config.status().message().empty());
  }
  return 0;
}
