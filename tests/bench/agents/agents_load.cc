// N agents against one controller (load.h). `scale` (beside this file) runs it; README.md says how
// to read what it prints.
//
//   agents_load --target HOST:PORT --ca FILE --key FILE --site NAME --agents N
//
// FILEs hold the controller's authority, which this program signs the agents' certificates with.
// For each line on standard input it prints one line of JSON about all agents; it ends with its
// input.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "controller/base/check.h"
#include "controller/base/file.h"
#include "tests/bench/agents/load.h"

namespace sluice::bench {
namespace {

int Main(int argc, char** argv) {
  std::string target, ca, key;
  LoadOptions options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--target") target = value;
    if (name == "--ca") ca = value;
    if (name == "--key") key = value;
    if (name == "--site") options.site = value;
    if (name == "--agents") options.agents = std::atoi(value.c_str());
  }
  const auto colon = target.rfind(':');
  if (colon == std::string::npos || ca.empty() || key.empty() || options.site.empty() ||
      options.agents <= 0) {
    std::fputs("usage: see the head of tests/bench/agents/agents_load.cc\n", stderr);
    return 2;
  }
  options.host = target.substr(0, colon);
  options.port = std::atoi(target.c_str() + colon + 1);
  const auto certificate_pem = base::ReadFile(ca);
  const auto key_pem = base::ReadFile(key);
  SLUICE_CHECK(certificate_pem.ok() && key_pem.ok());
  options.authority = {*certificate_pem, *key_pem};
  AllowConnections(options.agents);
  Load(std::move(options)).Run(STDIN_FILENO);
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
