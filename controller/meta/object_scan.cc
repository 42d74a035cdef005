#include "controller/meta/object_scan.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace sluice::meta {
namespace {

// A string member, or null, which servers write for an empty one.
bool ReadIdentity(JsonScanner& scanner, JsonString* value) {
  if (scanner.Peek() == 'n') return scanner.SkipValue();
  return scanner.ReadString(value);
}

bool ReadGeneration(JsonScanner& scanner, std::int64_t* value) {
  std::string_view text;
  if (!scanner.ReadRaw(&text)) return false;
  std::from_chars(text.data(), text.data() + text.size(), *value);
  return true;
}

bool ScanAnnotations(JsonScanner& scanner, ObjectScan* scan) {
  if (scanner.Peek() != '{') return scanner.SkipValue();
  return scanner.Members([&](const JsonString& key) {
    if (key.raw != "k8s.io/initial-events-end" || scanner.Peek() != '"') return scanner.SkipValue();
    JsonString value;
    if (!scanner.ReadString(&value)) return false;
    scan->initial_events_end = value.Is("true");
    return true;
  });
}

// Finds the comma to cut together with a member: the one before it, or, for the first member, the
// one after.
ObjectScan::Range WithComma(std::string_view text, ObjectScan::Range member, bool first) {
  const auto space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  if (!first) {
    while (text[member.begin - 1] != ',') --member.begin;
    --member.begin;
    return member;
  }
  std::size_t end = member.end;
  while (end < text.size() && space(text[end])) ++end;
  if (end < text.size() && text[end] == ',') member.end = end + 1;
  return member;
}

bool ScanMetadata(JsonScanner& scanner, ObjectScan* scan) {
  // Of two metadata members the last counts, as everywhere; nothing of the first may stay.
  const ObjectScan before = std::exchange(*scan, ObjectScan{});
  scan->whole = before.whole;
  scan->spec = before.spec;
  scan->status = before.status;
  scan->has_kind = before.has_kind;
  scan->has_api_version = before.has_api_version;
  scanner.Peek();
  scan->metadata.begin = scanner.offset();
  if (scanner.Peek() != '{') {
    const bool whole = scanner.SkipValue();
    scan->metadata.end = scanner.offset();
    return whole;
  }
  bool first = true;
  const bool whole = scanner.Members([&](const JsonString& key) {
    const bool is_first = std::exchange(first, false);
    switch (key.raw.size()) {
      case 3:
        if (key.raw == "uid") return ReadIdentity(scanner, &scan->uid);
        break;
      case 4:
        if (key.raw == "name") return ReadIdentity(scanner, &scan->name);
        break;
      case 9:
        if (key.raw == "namespace") return ReadIdentity(scanner, &scan->ns);
        break;
      case 10:
        if (key.raw == "generation") return ReadGeneration(scanner, &scan->generation);
        break;
      case 11:
        if (key.raw == "annotations") return ScanAnnotations(scanner, scan);
        break;
      case 13:
        if (key.raw == "managedFields") {
          const auto key_at = static_cast<std::size_t>(key.raw.data() - scanner.text().data()) - 1;
          if (!scanner.SkipValue()) return false;
          scan->cut = WithComma(scanner.text(), {key_at, scanner.offset()}, is_first);
          return true;
        }
        break;
      case 15:
        if (key.raw == "resourceVersion") return ReadIdentity(scanner, &scan->resource_version);
        break;
      case 17:
        if (key.raw == "deletionTimestamp") {
          scan->deleting = scanner.Peek() == '"';
          return scanner.SkipValue();
        }
        break;
      default:
        break;
    }
    return scanner.SkipValue();
  });
  scan->metadata.end = scanner.offset();
  return whole;
}

bool ScanRange(JsonScanner& scanner, ObjectScan::Range* range) {
  scanner.Peek();
  range->begin = scanner.offset();
  const bool whole = scanner.SkipValue();
  range->end = scanner.offset();
  return whole;
}

}  // namespace

bool ScanObject(JsonScanner& scanner, ObjectScan* scan) {
  *scan = {};
  scanner.Peek();
  scan->whole.begin = scanner.offset();
  const bool whole = scanner.Members([&](const JsonString& key) {
    if (key.raw == "metadata") return ScanMetadata(scanner, scan);
    if (key.Is("spec")) return ScanRange(scanner, &scan->spec);
    if (key.Is("status")) return ScanRange(scanner, &scan->status);
    if (key.raw == "kind" || key.raw == "apiVersion") {
      JsonString value;
      if (!ReadIdentity(scanner, &value)) return false;
      (key.raw == "kind" ? scan->has_kind : scan->has_api_version) = !value.raw.empty();
      return true;
    }
    return scanner.SkipValue();
  });
  scan->whole.end = scanner.offset();
  return whole;
}

base::StatusOr<ObjectPtr> MakeObject(const JsonScanner& scanner, const ObjectScan& scan,
                                     const Resource* resource) {
  if (scan.name.raw.empty()) return base::InvalidArgument("object: metadata.name is missing");
  std::string front = "{";
  if (resource != nullptr && !scan.has_kind)
    front += fmt::format(R"("kind":"{}",)", resource->kind);
  if (resource != nullptr && !scan.has_api_version) {
    front += fmt::format(R"("apiVersion":"{}",)", resource->ApiVersion());
  }
  const std::string_view text = scanner.text();
  const std::size_t body_at = scan.whole.begin + 1;
  const std::size_t cut_bytes = scan.cut.end - scan.cut.begin;
  const std::size_t json_bytes = front.size() + (scan.whole.end - body_at) - cut_bytes;
  if (json_bytes > kMaxObjectBytes) {
    return base::InvalidArgument(fmt::format("object: {} bytes are too many", json_bytes));
  }
  // Identity stands in the JSON itself, unless an escape hides it: then decoded, behind the JSON.
  const std::array<const JsonString*, Object::kIdentities> identities = {
      &scan.name, &scan.ns, &scan.uid, &scan.resource_version};
  std::string decoded;
  for (const JsonString* identity : identities) {
    if (identity->raw.size() > kMaxIdentityBytes) {
      return base::InvalidArgument("object: name, namespace, uid or resourceVersion is too long");
    }
    if (identity->escaped) decoded += identity->Decode();
  }
  const auto moved = [&](std::size_t offset) {
    const std::size_t removed = offset >= scan.cut.end ? cut_bytes : 0;
    return static_cast<std::uint32_t>(offset - body_at + front.size() - removed);
  };

  char* bytes = nullptr;
  const std::shared_ptr<Object> object = Object::Allocate(json_bytes + decoded.size(), &bytes);
  char* out = bytes;
  const auto append = [&out](std::string_view piece) {
    std::memcpy(out, piece.data(), piece.size());
    out += piece.size();
  };
  append(front);
  if (cut_bytes == 0) {
    append(text.substr(body_at, scan.whole.end - body_at));
  } else {
    append(text.substr(body_at, scan.cut.begin - body_at));
    append(text.substr(scan.cut.end, scan.whole.end - scan.cut.end));
  }
  append(decoded);

  object->json_bytes_ = static_cast<std::uint32_t>(json_bytes);
  const auto span = [&](const ObjectScan::Range& range) -> Object::Span {
    if (range.end == range.begin) return {};
    const std::uint32_t at = moved(range.begin);
    return {at, moved(range.end) - at};  // less what was cut inside
  };
  object->metadata_ = span(scan.metadata);
  object->spec_ = span(scan.spec);
  object->status_ = span(scan.status);
  object->generation_ = scan.generation;
  object->deleting_ = scan.deleting;
  std::size_t decoded_at = json_bytes;
  for (std::size_t i = 0; i < identities.size(); ++i) {
    const JsonString& identity = *identities[i];
    std::size_t size = identity.raw.size();
    if (identity.escaped) {
      size = identity.Decode().size();
      object->identity_at_[i] = static_cast<std::uint32_t>(decoded_at);
      decoded_at += size;
    } else if (size > 0) {
      object->identity_at_[i] = moved(static_cast<std::size_t>(identity.raw.data() - text.data()));
    }
    object->identity_bytes_[i] = static_cast<std::uint16_t>(size);
  }
  return ObjectPtr(object);
}

}  // namespace sluice::meta
