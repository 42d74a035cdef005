// Kubeconfigs that count together. Internal to controller/client; others use config.h.
#pragma once

#include <string>
#include <vector>

#include "controller/client/config.h"

namespace sluice::client {

struct KubeconfigFile {
  std::string path;    // for messages; empty: the text is no file's
  std::string folder;  // relative paths in it are relative to this
  std::string text;
};

// What relative paths in this file are relative to; empty: the working directory. Pure.
std::string FolderOf(const std::string& path);

// Of each name the first file that has it counts, as with kubectl. Errors: as ParseKubeconfig, with
// the path of a file that is no YAML.
base::StatusOr<Config> ParseKubeconfigs(const std::vector<KubeconfigFile>& files,
                                        const KubeconfigOptions& options);

}  // namespace sluice::client
