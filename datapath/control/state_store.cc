#include "datapath/control/state_store.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <filesystem>
#include <system_error>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/digest.h"
#include "controller/base/file.h"
#include "controller/base/log.h"
#include "datapath/control/convert.h"

namespace sluice::control {
namespace {

using base::Status;
using base::StatusOr;
namespace fs = std::filesystem;

constexpr std::string_view kMagic = "sluice-agent 1 ";
constexpr std::size_t kHeaderBytes = 15 + 64 + 1;  // magic, hex digest, newline
constexpr std::size_t kMaxFileBytes = 8 << 20;
constexpr long kTmpfsMagic = 0x01021994;

std::string Sealed(const std::string& bytes) {
  return fmt::format("{}{}\n", kMagic, base::Sha256Hex(bytes)) + bytes;
}

StatusOr<std::string> ReadSealed(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kMaxFileBytes));
  const auto damaged = base::DataLoss(fmt::format("{} is damaged", path));
  if (text.size() < kHeaderBytes || !text.starts_with(kMagic)) return damaged;
  std::string bytes = text.substr(kHeaderBytes);
  if (text.substr(kMagic.size(), 64) != base::Sha256Hex(bytes)) return damaged;
  return bytes;
}

template <typename Message>
Status ReadMessage(const std::string& path, Message& message) {
  SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadSealed(path));
  if (message.ParseFromString(bytes)) return base::OkStatus();
  return base::DataLoss(fmt::format("{} is of another program", path));
}

Status MakeDirectory(const std::string& option, const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return base::InvalidArgument(
        fmt::format("{}: \"{}\" is not an absolute directory; name one", option, path));
  }
  std::error_code error;
  const bool made = fs::create_directories(path, error);
  if (error) {
    return base::InvalidArgument(fmt::format("{}: {}: {}; name a directory that can be written",
                                             option, path, error.message()));
  }
  if (made) fs::permissions(path, fs::perms::owner_all, error);
  return base::OkStatus();
}

// A version is a file's name here: only what cannot leave the directory.
bool IsFileName(const std::string& version) {
  return !version.empty() && version.size() <= 128 &&
         version.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz-") == std::string::npos;
}

}  // namespace

Status StateStore::Open() {
  SLUICE_RETURN_IF_ERROR(MakeDirectory("state_dir", state_dir_));
  SLUICE_RETURN_IF_ERROR(MakeDirectory("secrets_dir", secrets_dir_));
  struct statfs where {};
  if (statfs(secrets_dir_.c_str(), &where) == 0 && where.f_type != kTmpfsMagic) {
    base::log::Warn("secrets directory is not on a tmpfs; credentials outlive a reboot",
                    {{"path", secrets_dir_}});
  }
  return base::OkStatus();
}

std::string StateStore::CredentialsPath(const std::string& version) const {
  return secrets_dir_ + "/credentials." + version;
}

Status StateStore::SaveConfiguration(const agent::v1::Configuration& message) {
  if (!IsFileName(message.version())) {
    return base::InvalidArgument("the configuration's version is not a hash");
  }
  const std::string credentials = CredentialsPath(message.version());
  SLUICE_RETURN_IF_ERROR(
      base::WriteFileAtomic(credentials, Sealed(message.credentials().SerializeAsString()), 0600));
  agent::v1::Configuration kept = message;
  kept.clear_credentials();
  SLUICE_RETURN_IF_ERROR(
      base::WriteFileAtomic(state_dir_ + "/configuration", Sealed(kept.SerializeAsString()), 0600));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(secrets_dir_, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("credentials.") && entry.path() != credentials) {
      fs::remove(entry.path(), error);
    }
  }
  return base::OkStatus();
}

Status StateStore::LoadConfiguration(agent::v1::Configuration& message) const {
  SLUICE_RETURN_IF_ERROR(ReadMessage(state_dir_ + "/configuration", message));
  if (!IsFileName(message.version())) return base::DataLoss("the stored version is not a hash");
  const Status read =
      ReadMessage(CredentialsPath(message.version()), *message.mutable_credentials());
  if (read.code() == base::Code::kNotFound) {
    return base::FailedPrecondition(
        "the credentials of the last good configuration are gone (a reboot clears them); waiting "
        "for the controller");
  }
  return read;
}

Status StateStore::SaveFence(const Order& fence) {
  agent::v1::Order order;
  ToProto(fence, order);
  return base::WriteFileAtomic(state_dir_ + "/fence", Sealed(order.SerializeAsString()), 0600);
}

StatusOr<Order> StateStore::LoadFence() const {
  agent::v1::Order order;
  SLUICE_RETURN_IF_ERROR(ReadMessage(state_dir_ + "/fence", order));
  return FromProto(order);
}

Status StateStore::SaveIdentity(const std::string& key_pem, const agent::v1::Identity& identity) {
  SLUICE_RETURN_IF_ERROR(
      base::WriteFileAtomic(secrets_dir_ + "/identity.key", Sealed(key_pem), 0600));
  return base::WriteFileAtomic(secrets_dir_ + "/identity.certificate",
                               Sealed(identity.SerializeAsString()), 0600);
}

Status StateStore::LoadIdentity(std::string& key_pem, agent::v1::Identity& identity) const {
  SLUICE_ASSIGN_OR_RETURN(key_pem, ReadSealed(secrets_dir_ + "/identity.key"));
  return ReadMessage(secrets_dir_ + "/identity.certificate", identity);
}

}  // namespace sluice::control
