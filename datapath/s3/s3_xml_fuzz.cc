// XML of origins and clients: never a crash; what is read, written and read again is the same.
#include <cstdint>
#include <cstdlib>

#include "datapath/s3/documents.h"
#include "datapath/s3/list.h"

using namespace sluice::s3;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (auto page = ParseListPage(input); page.ok()) {
    ListRequest request;
    request.encode_url = true;
    const auto again = ParseListPage(WriteListPage("b", request, *page));
    if (!again.ok() || again->objects.size() != page->objects.size()) std::abort();
    for (std::size_t i = 0; i < page->objects.size(); ++i) {
      if (again->objects[i].key != page->objects[i].key) std::abort();
    }
    StripPrefix("a/", true, &page.value());
  }
  if (const auto request = ParseDeleteRequest(input); request.ok()) {
    const auto again = ParseDeleteRequest(WriteDeleteRequest(*request));
    if (!again.ok() || again->entries.size() != request->entries.size()) std::abort();
  }
  static_cast<void>(ParseDeleteResult(input));
  static_cast<void>(ParseErrorXml(input));
  static_cast<void>(RenameObject(input, "b", "k"));
  return 0;
}
