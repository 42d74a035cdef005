// Structured logging: a constant message, written in the past tense, with key/value pairs.
//
//   log::Info("lease acquired", {{"holder", id}, {"epoch", epoch}});
//
// One line an event to standard error, as text (default) or JSON. Never log a secret: pass names of
// credentials, not their values. Thread rule: any thread; one write(2) a line.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::base::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kText, kJson };

struct Field {
  std::string_view key;
  std::string value;
  bool quoted = true;  // false for numbers and booleans in JSON

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const Status& v) : key(k), value(v.ToString()) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
  template <std::integral T>
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {}
  template <std::floating_point T>
  Field(std::string_view k, T v)  // JSON has no number that is not finite
      : key(k), value(std::to_string(v)), quoted(!std::isfinite(v)) {}
};
using Fields = std::initializer_list<Field>;

void Configure(Level minimum, Format format);
bool Enabled(Level level);

// A context prefix for this thread's lines (the reconcile or request id) while it lives. Nothing is
// copied and nothing formatted until a line is written, which most contexts never see: the texts
// must live as long. Contexts end in the reverse of their order.
class [[nodiscard]] ScopedContext {
 public:
  // Shown as `value`, or as `parent/value`.
  ScopedContext(std::string_view key, std::string_view value, std::string_view parent = {});
  // Shown as 16 hexadecimal digits.
  ScopedContext(std::string_view key, std::uint64_t id);
  template <std::same_as<std::string> Temporary>  // it would be gone
  ScopedContext(std::string_view key, Temporary&& value, std::string_view parent = {}) = delete;
  ~ScopedContext();
  ScopedContext(const ScopedContext&) = delete;
  ScopedContext& operator=(const ScopedContext&) = delete;

  const ScopedContext* outer() const { return outer_; }
  Field ToField() const;

 private:
  const std::string_view key_, value_, parent_;
  const std::uint64_t id_ = 0;
  const bool is_id_ = false;
  const ScopedContext* const outer_;
};

void Write(Level level, std::string_view message, Fields fields);
inline void Debug(std::string_view message, Fields fields = {}) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, message, fields);
}
inline void Info(std::string_view message, Fields fields = {}) {
  Write(Level::kInfo, message, fields);
}
inline void Warn(std::string_view message, Fields fields = {}) {
  Write(Level::kWarn, message, fields);
}
inline void Error(std::string_view message, Fields fields = {}) {
  Write(Level::kError, message, fields);
}

// The line without its newline; what Write() prints. For tests.
std::string Render(Format format, std::string_view time, Level level, std::string_view message,
                   Fields fields);

}  // namespace sluice::base::log
