#include "controller/base/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "controller/base/text.h"
#include "controller/base/time_format.h"

namespace sluice::base::log {
namespace {

std::atomic<Level> g_minimum{Level::kInfo};
std::atomic<Format> g_format{Format::kText};
thread_local const ScopedContext* t_context = nullptr;  // the innermost

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

// JSON string escapes; text values use the same form, so that a line stays a line. What others sent
// us (a Warning header, an error's body) may hold any bytes; JSON holds UTF-8 alone.
void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : ValidUtf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

bool Plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

void AppendField(std::string& out, Format format, const Field& field) {
  if (format == Format::kJson) {
    out += ',';
    AppendQuoted(out, field.key);
    out += ':';
    if (field.quoted) {
      AppendQuoted(out, field.value);
    } else {
      out += field.value;
    }
    return;
  }
  out += ' ';
  out += field.key;
  out += '=';
  if (Plain(field.value)) {
    out += field.value;
  } else {
    AppendQuoted(out, field.value);
  }
}

void AppendContexts(std::string& out, Format format, const ScopedContext* innermost) {
  if (innermost == nullptr) return;
  AppendContexts(out, format, innermost->outer());
  AppendField(out, format, innermost->ToField());
}

}  // namespace

void Configure(Level minimum, Format format) {
  g_minimum = minimum;
  g_format = format;
}

bool Enabled(Level level) { return level >= g_minimum.load(std::memory_order_relaxed); }

ScopedContext::ScopedContext(std::string_view key, std::string_view value, std::string_view parent)
    : key_(key), value_(value), parent_(parent), outer_(std::exchange(t_context, this)) {}

ScopedContext::ScopedContext(std::string_view key, std::uint64_t id)
    : key_(key), id_(id), is_id_(true), outer_(std::exchange(t_context, this)) {}

ScopedContext::~ScopedContext() { t_context = outer_; }

Field ScopedContext::ToField() const {
  if (is_id_) return {key_, fmt::format("{:016x}", id_)};
  if (parent_.empty()) return {key_, value_};
  return {key_, fmt::format("{}/{}", parent_, value_)};
}

std::string Render(Format format, std::string_view time, Level level, std::string_view message,
                   Fields fields) {
  std::string out;
  if (format == Format::kJson) {
    out = fmt::format("{{\"ts\":\"{}\",\"level\":\"{}\",\"msg\":", time, LevelName(level));
    AppendQuoted(out, message);
  } else {
    out = fmt::format("{} {:5} {}", time, LevelName(level), message);
  }
  AppendContexts(out, format, t_context);
  for (const Field& field : fields) AppendField(out, format, field);
  if (format == Format::kJson) out += '}';
  return out;
}

void Write(Level level, std::string_view message, Fields fields) {
  if (!Enabled(level)) return;
  std::string line = Render(g_format, FormatRfc3339Micro(std::chrono::system_clock::now()), level,
                            message, fields);
  line += '\n';
  // A log that cannot be written has nowhere to be reported.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace sluice::base::log
