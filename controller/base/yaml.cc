#include "controller/base/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <exception>
#include <sstream>
#include <string_view>

namespace sluice::base {
namespace {

Status BadEnd(const YAML::Mark& mark, std::string_view rule) {
  return InvalidArgument(
      fmt::format("line {}, column {}: {}", mark.line + 1, mark.column + 1, rule));
}

// Leaves the parser: an event handler has no other way to end it.
struct Refused final : std::exception {};

// Goes over the text once and keeps nothing of it.
class EndCheck final : public YAML::EventHandler {
 public:
  explicit EndCheck(YamlDocuments documents) : documents_(documents) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    // The parser does not move: something is here that begins no document.
    if (mark.pos == at_) Refuse(mark, "what follows belongs to no document; remove it");
    at_ = mark.pos;
  }
  void OnDocumentEnd() override { ++ended_; }
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Content(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    Content(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Content(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Content(mark);
  }
  void OnMapEnd() override {}

  bool behind_the_first() const { return documents_ == YamlDocuments::kOne && ended_ > 0; }
  const Status& status() const { return status_; }

 private:
  void Content(const YAML::Mark& mark) {
    if (behind_the_first()) Refuse(mark, "a second document; keep one");
  }
  void Refuse(const YAML::Mark& mark, std::string_view rule) {
    status_ = BadEnd(mark, rule);
    throw Refused();
  }

  const YamlDocuments documents_;
  int at_ = -1;
  int ended_ = 0;
  Status status_;
};

}  // namespace

Status CheckYamlEnd(const std::string& text, YamlDocuments documents) {
  EndCheck check(documents);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(check)) {
    }
  } catch (const Refused&) {
    return check.status();
  } catch (const YAML::Exception& problem) {
    if (check.behind_the_first()) {
      return BadEnd(problem.mark, "what follows the document is no YAML; remove it");
    }
  }
  return OkStatus();
}

}  // namespace sluice::base
