#include <utility>

#include "controller/base/digest.h"
#include "controller/base/file.h"
#include "controller/base/log.h"
#include "datapath/control/limits.h"
#include "datapath/control/source.h"

namespace sluice::control {
namespace {

class FileSource final : public Source {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}

  base::Status Start(OnConfig on_config) override {
    on_config_ = std::move(on_config);
    return Reload();
  }

  base::Status Reload() override {
    if (!on_config_) return base::FailedPrecondition("the source is not running");
    auto text = base::ReadFile(path_, kMaxYamlBytes);
    if (!text.ok()) return base::InvalidArgument(text.status().ToString());
    auto parsed = ParseYaml(*text);
    if (!parsed.ok()) return parsed.status().Annotate(path_);
    auto config = std::make_shared<Config>(std::move(parsed).value());
    config->version = base::Sha256Hex(*text).substr(0, 16);
    config->order = {"file", 0, revision_ + 1};
    SLUICE_RETURN_IF_ERROR(on_config_(config));
    ++revision_;
    base::log::Info("configuration loaded",
                    {{"path", path_}, {"version", config->version}, {"revision", revision_}});
    return base::OkStatus();
  }

  void Stop() override { on_config_ = nullptr; }

 private:
  const std::string path_;
  OnConfig on_config_;
  std::int64_t revision_ = 0;
};

}  // namespace

std::unique_ptr<Source> MakeFileSource(std::string path) {
  return std::make_unique<FileSource>(std::move(path));
}

}  // namespace sluice::control
