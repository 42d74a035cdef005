#include "controller/client/list_page.h"

#include <fmt/format.h>

#include "controller/meta/json_scanner.h"
#include "controller/meta/object_scan.h"

namespace sluice::client {
namespace {

bool ReadListMetadata(meta::JsonScanner& scanner, ListPage* page) {
  if (scanner.Peek() != '{') return scanner.SkipValue();
  return scanner.Members([&](const meta::JsonString& key) {
    const bool version = key.Is("resourceVersion");
    if ((!version && !key.Is("continue")) || scanner.Peek() != '"') return scanner.SkipValue();
    meta::JsonString value;
    if (!scanner.ReadString(&value)) return false;
    (version ? page->objects.resource_version : page->continue_token) = value.Decode();
    return true;
  });
}

}  // namespace

base::StatusOr<ListPage> ParseListPage(const meta::Resource& resource, std::string_view text) {
  ListPage page;
  base::Status bad_item;
  bool has_items = false;
  meta::JsonScanner scanner(text);
  const auto read_item = [&] {
    meta::ObjectScan scan;
    if (!meta::ScanObject(scanner, &scan)) return false;
    auto object = meta::MakeObject(scanner, scan, &resource);
    if (!object.ok()) {
      bad_item = object.status();
      return false;
    }
    page.objects.items.push_back(std::move(object).value());
    return true;
  };
  const bool whole = scanner.Members([&](const meta::JsonString& key) {
    if (key.Is("metadata")) return ReadListMetadata(scanner, &page);
    if (!key.Is("items")) return scanner.SkipValue();
    has_items = true;
    return scanner.Peek() == 'n' ? scanner.SkipValue() : scanner.Elements(read_item);
  });
  if (!whole || !scanner.AtEnd() || !has_items) {
    return base::DataLoss(fmt::format("list of {}: {}", resource.GroupResource(),
                                      bad_item.ok() ? "not a JSON list" : bad_item.message()));
  }
  return page;
}

}  // namespace sluice::client
