// What this folder's tests share: kinds, a client of a scripted server, a scratch folder.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "controller/base/file.h"
#include "controller/client/client.h"
#include "controller/client/config.h"
#include "controller/http/testing/imposter.h"

namespace sluice::client {

inline const meta::Resource kPods{"", "v1", "Pod", "pods", true};
inline const meta::Resource kSites{"sluice.dev", "v1alpha1", "Site", "sites", false};
inline constexpr char kSiteAnswer[] =
    R"({"kind":"Site","apiVersion":"sluice.dev/v1alpha1","metadata":{"name":"x"}})";

inline void AnswerWithSite(http::testing::ImposterConnection& connection) {
  while (connection.ReadRequest()) connection.Send(http::testing::Answer(200, kSiteAnswer));
}

inline std::unique_ptr<Client> ClientFor(const http::testing::Imposter& server) {
  Config config;
  config.server = server.url();
  auto client = NewClient(config);
  SLUICE_CHECK(client.ok());
  return std::move(client).value();
}

inline std::unique_ptr<Client> ClientFor(const http::testing::Imposter& server,
                                         base::Clock& clock) {
  Config config;
  config.server = server.url();
  auto client = NewClient(config, clock);
  SLUICE_CHECK(client.ok());
  return std::move(client).value();
}

// Sets a variable of the environment as long as it lives.
class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~ScopedEnvironment() { before_ ? setenv(name_, before_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-client-XXXXXX").string();
    SLUICE_CHECK(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, std::string_view bytes, mode_t mode = 0600) const {
    SLUICE_CHECK(base::WriteFileAtomic(File(name), bytes, mode).ok());
  }

 private:
  std::string path_;
};

}  // namespace sluice::client
