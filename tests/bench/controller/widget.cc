#include "tests/bench/controller/widget.h"

#include <algorithm>
#include <charconv>

namespace sluice::bench {
namespace {

using meta::JsonScanner;
using meta::JsonString;

class Fnv1a {
 public:
  void Bytes(std::string_view text) {
    for (const char c : text) Byte(static_cast<unsigned char>(c));
  }
  void End() { Byte(0); }
  void Text(const JsonString& text) {
    String(text);
    End();
  }
  void String(const JsonString& text) {
    if (text.escaped) {
      Bytes(text.Decode());
    } else {
      Bytes(text.raw);
    }
  }
  void Number(std::int64_t value) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    Bytes({digits, static_cast<std::size_t>(end - digits)});
    End();
  }
  std::uint64_t value() const { return value_; }

 private:
  void Byte(unsigned char byte) { value_ = (value_ ^ byte) * 1099511628211ull; }
  std::uint64_t value_ = 14695981039346656037ull;
};

bool ReadTags(JsonScanner& scanner, std::vector<JsonString>* tags) {
  return scanner.Elements([&] { return scanner.ReadString(&tags->emplace_back()); });
}

bool ReadParams(JsonScanner& scanner, std::vector<std::pair<JsonString, JsonString>>* params) {
  return scanner.Members([&](const JsonString& key) {
    return scanner.ReadString(&params->emplace_back(key, JsonString()).second);
  });
}

bool ReadSpec(JsonScanner& scanner, Widget::Spec* spec) {
  return scanner.Members([&](const JsonString& key) {
    const std::string_view name = key.raw;
    if (scanner.Peek() == 'n') return scanner.SkipValue();  // null: as if it were absent
    if (name == "title") return scanner.ReadString(&spec->title);
    if (name == "owner") return scanner.ReadString(&spec->owner);
    if (name == "tier") return scanner.ReadString(&spec->tier);
    if (name == "zone") return scanner.ReadString(&spec->zone);
    if (name == "image") return scanner.ReadString(&spec->image);
    if (name == "replicas") return scanner.ReadInt64(&spec->replicas);
    if (name == "weight") return scanner.ReadInt64(&spec->weight);
    if (name == "capacityBytes") return scanner.ReadInt64(&spec->capacity_bytes);
    if (name == "enabled") return scanner.ReadBool(&spec->enabled);
    if (name == "stamp") return scanner.ReadInt64(&spec->stamp);
    if (name == "tags") return ReadTags(scanner, &spec->tags);
    if (name == "params") return ReadParams(scanner, &spec->params);
    return scanner.SkipValue();
  });
}

bool ReadStatus(JsonScanner& scanner, Widget* widget) {
  return scanner.Members([&](const JsonString& key) {
    if (scanner.Peek() == 'n') return scanner.SkipValue();
    if (key.raw == "observed") return scanner.ReadString(&widget->observed);
    if (key.raw == "observedGeneration") return scanner.ReadInt64(&widget->observed_generation);
    return scanner.SkipValue();
  });
}

// By what the keys mean, bytewise, as Go sorts strings.
bool KeyLess(const std::pair<JsonString, JsonString>& a,
             const std::pair<JsonString, JsonString>& b) {
  if (!a.first.escaped && !b.first.escaped) return a.first.raw < b.first.raw;
  return a.first.Decode() < b.first.Decode();
}

}  // namespace

base::Status ReadWidget(std::string_view spec, std::string_view status, Widget* widget) {
  Widget fresh;
  fresh.spec.tags.swap(widget->spec.tags);  // for their memory
  fresh.spec.params.swap(widget->spec.params);
  fresh.spec.tags.clear();
  fresh.spec.params.clear();
  *widget = std::move(fresh);
  JsonScanner in_spec(spec);
  JsonScanner in_status(status);
  const bool whole = (in_spec.Peek() != '{' || ReadSpec(in_spec, &widget->spec)) &&
                     (in_status.Peek() != '{' || ReadStatus(in_status, widget));
  return whole ? base::OkStatus() : base::InvalidArgument("widget: a field is not of its type");
}

std::string Observed(std::string_view salt, Widget& widget) {
  Widget::Spec& spec = widget.spec;
  Fnv1a hash;
  hash.Bytes(salt);
  hash.End();
  for (const JsonString* text : {&spec.title, &spec.owner, &spec.tier, &spec.zone, &spec.image}) {
    hash.Text(*text);
  }
  for (const std::int64_t number : {spec.replicas, spec.weight, spec.capacity_bytes}) {
    hash.Number(number);
  }
  hash.Bytes(spec.enabled ? "true" : "false");
  hash.End();
  hash.Number(spec.stamp);
  for (const JsonString& tag : spec.tags) hash.Text(tag);
  if (!std::is_sorted(spec.params.begin(), spec.params.end(), KeyLess)) {
    std::sort(spec.params.begin(), spec.params.end(), KeyLess);
  }
  for (const auto& [key, value] : spec.params) {
    hash.String(key);
    hash.Bytes("=");
    hash.Text(value);
  }
  std::string out(16, '0');
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = "0123456789abcdef"[(hash.value() >> (60 - 4 * i)) & 15];
  }
  return out;
}

}  // namespace sluice::bench
