#include "controller/meta/object.h"

#include <nlohmann/json.hpp>

#include "controller/meta/object_scan.h"

namespace sluice::meta {
namespace {

// Asks for `tail` bytes behind the one object that std::allocate_shared puts into its block, and
// tells where they are. `request` is used during allocate only.
struct TailRequest {
  std::size_t bytes = 0;
  char* at = nullptr;
};

template <typename T>
struct TailAllocator {
  using value_type = T;
  TailRequest* request;

  explicit TailAllocator(TailRequest* r) : request(r) {}
  template <typename U>
  TailAllocator(const TailAllocator<U>& other) : request(other.request) {}  // NOLINT: rebind

  T* allocate(std::size_t n) {
    char* block = static_cast<char*>(::operator new(n * sizeof(T) + request->bytes));
    request->at = block + n * sizeof(T);
    return reinterpret_cast<T*>(block);
  }
  void deallocate(T* block, std::size_t) { ::operator delete(static_cast<void*>(block)); }
  friend bool operator==(const TailAllocator&, const TailAllocator&) { return true; }
};

// std::allocate_shared constructs after it has allocated; the reference sees where the tail is.
struct TailPointer {
  const TailRequest& request;
  operator char*() const { return request.at; }  // NOLINT: implicit on purpose
};

base::StatusOr<ObjectPtr> ParseText(std::string_view json, const Resource* resource) {
  JsonScanner scanner(json);
  ObjectScan scan;
  if (scanner.Peek() != '{' || !ScanObject(scanner, &scan) || !scanner.AtEnd()) {
    return base::InvalidArgument("object: not a JSON object");
  }
  return MakeObject(scanner, scan, resource);
}

}  // namespace

std::shared_ptr<Object> Object::Allocate(std::size_t bytes, char** out) {
  TailRequest request{bytes, nullptr};
  auto object = std::allocate_shared<Object>(TailAllocator<Object>(&request), Private{},
                                             TailPointer{request});
  *out = request.at;
  return object;
}

base::StatusOr<ObjectPtr> Object::Parse(std::string_view json) { return ParseText(json, nullptr); }

base::StatusOr<ObjectPtr> Object::ParseAs(const Resource& resource, std::string_view json) {
  return ParseText(json, &resource);
}

base::StatusOr<ObjectPtr> Object::FromJson(const nlohmann::json& json) {
  try {
    return Parse(json.dump());
  } catch (const nlohmann::json::exception& error) {  // strings that are not UTF-8
    return base::InvalidArgument(std::string("object: ") + error.what());
  }
}

nlohmann::json Object::ToJson() const {
  nlohmann::json json = nlohmann::json::parse(this->json(), nullptr, false);
  SLUICE_CHECK(!json.is_discarded());  // JsonScanner accepted it
  return json;
}

std::optional<std::string> Object::MetadataEntry(std::string_view map, std::string_view key) const {
  JsonScanner scanner(FindMember(metadata_json(), map));
  if (scanner.Peek() != '{') return std::nullopt;
  std::optional<std::string> found;
  scanner.Members([&](const JsonString& member) {
    if (!member.Is(key) || scanner.Peek() != '"') return scanner.SkipValue();
    JsonString value;
    if (!scanner.ReadString(&value)) return false;
    found = value.Decode();
    return true;
  });
  return found;
}

std::optional<std::string> Object::Label(std::string_view key) const {
  return MetadataEntry("labels", key);
}

std::optional<std::string> Object::Annotation(std::string_view key) const {
  return MetadataEntry("annotations", key);
}

bool Object::HasFinalizer(std::string_view finalizer) const {
  JsonScanner scanner(FindMember(metadata_json(), "finalizers"));
  if (scanner.Peek() != '[') return false;
  bool found = false;
  scanner.Elements([&] {
    if (scanner.Peek() != '"') return scanner.SkipValue();
    JsonString value;
    if (!scanner.ReadString(&value)) return false;
    found = found || value.Is(finalizer);
    return true;
  });
  return found;
}

std::size_t Object::memory_bytes() const {
  // Counts, their vtable and the allocator's word stand before the object.
  constexpr std::size_t kControlBytes = 24;
  return kControlBytes + sizeof(Object) + json_bytes_;
}

}  // namespace sluice::meta
