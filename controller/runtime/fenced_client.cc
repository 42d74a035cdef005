#include "controller/runtime/fenced_client.h"

#include <nlohmann/json.hpp>

#include "controller/client/status_text.h"

namespace sluice::runtime {

namespace {

using base::Status;
using base::StatusOr;
using meta::ObjectPtr;
using meta::Resource;
using nlohmann::json;

class FencedClient final : public client::Client, public client::StatusTextWriter {
 public:
  FencedClient(client::Client& behind, std::function<bool()> leading, WrittenFunction written)
      : behind_(behind), leading_(std::move(leading)), written_(std::move(written)) {}

  StatusOr<ObjectPtr> Get(const Resource& resource, const meta::Key& key) override {
    return behind_.Get(resource, key);
  }
  StatusOr<client::ObjectList> List(const Resource& resource,
                                    const client::ListOptions& options) override {
    return behind_.List(resource, options);
  }
  StatusOr<ObjectPtr> Create(const Resource& resource, const json& object) override {
    SLUICE_RETURN_IF_ERROR(Check());
    return Told(resource, behind_.Create(resource, object));
  }
  StatusOr<ObjectPtr> Update(const Resource& resource, const json& object) override {
    SLUICE_RETURN_IF_ERROR(Check());
    return Told(resource, behind_.Update(resource, object));
  }
  StatusOr<ObjectPtr> Apply(const Resource& resource, const json& object,
                            const client::ApplyOptions& options) override {
    SLUICE_RETURN_IF_ERROR(Check());
    auto answer = behind_.Apply(resource, object, options);
    return options.dry_run ? answer : Told(resource, std::move(answer));
  }
  StatusOr<ObjectPtr> Patch(const Resource& resource, const meta::Key& key, client::PatchType type,
                            const json& patch) override {
    SLUICE_RETURN_IF_ERROR(Check());
    return Told(resource, behind_.Patch(resource, key, type, patch));
  }
  Status Delete(const Resource& resource, const meta::Key& key,
                const client::DeleteOptions& options) override {
    SLUICE_RETURN_IF_ERROR(Check());
    return behind_.Delete(resource, key, options);
  }
  StatusOr<ObjectPtr> ApplyStatus(const Resource& resource, const json& object,
                                  const client::ApplyOptions& options) override {
    SLUICE_RETURN_IF_ERROR(Check());
    auto answer = behind_.ApplyStatus(resource, object, options);
    return options.dry_run ? answer : Told(resource, std::move(answer));
  }
  StatusOr<ObjectPtr> ApplyStatusText(const Resource& resource, const meta::Key& key,
                                      std::string_view text,
                                      const client::ApplyOptions& options) override {
    SLUICE_RETURN_IF_ERROR(Check());
    auto answer = client::ApplyStatusText(behind_, resource, key, text, options);
    return options.dry_run ? answer : Told(resource, std::move(answer));
  }
  StatusOr<ObjectPtr> UpdateStatus(const Resource& resource, const json& object) override {
    SLUICE_RETURN_IF_ERROR(Check());
    return Told(resource, behind_.UpdateStatus(resource, object));
  }
  Status Watch(const Resource& resource, const client::WatchOptions& options,
               const client::WatchLine& line, std::stop_token stop) override {
    return behind_.Watch(resource, options, line, stop);
  }
  // Reviews and reads only: a TokenReview is asked by followers too.
  StatusOr<std::string> Raw(std::string_view method, std::string_view path,
                            std::string_view body) override {
    return behind_.Raw(method, path, body);
  }
  void Stop() override { behind_.Stop(); }

 private:
  Status Check() const {
    if (leading_()) return base::OkStatus();
    return base::Aborted("this replica does not lead, so it writes nothing")
        .WithReason("NotLeading");
  }
  StatusOr<ObjectPtr> Told(const Resource& resource, StatusOr<ObjectPtr> answer) const {
    if (answer.ok() && written_) written_(resource, **answer);
    return answer;
  }

  client::Client& behind_;
  const std::function<bool()> leading_;
  const WrittenFunction written_;
};

}  // namespace

std::unique_ptr<client::Client> NewFencedClient(client::Client& behind,
                                                std::function<bool()> leading,
                                                WrittenFunction written) {
  return std::make_unique<FencedClient>(behind, std::move(leading), std::move(written));
}

}  // namespace sluice::runtime
