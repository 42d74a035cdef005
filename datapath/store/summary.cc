#include "datapath/store/summary.h"

#include <cstring>

#include "controller/base/check.h"

namespace sluice::store {
namespace {

constexpr std::uint32_t kMaxSummaryHeaders = 1024;  // of one object

template <typename T>
void AppendTo(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void AppendTextTo(std::string& out, std::string_view text) {
  AppendTo(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

template <typename T>
bool Take(std::string_view& from, T& out) {
  if (from.size() < sizeof out) return false;
  std::memcpy(&out, from.data(), sizeof out);
  from.remove_prefix(sizeof out);
  return true;
}
bool TakeText(std::string_view& from, std::string_view& out) {
  std::uint32_t length = 0;
  if (!Take(from, length) || length > from.size()) return false;
  out = from.substr(0, length);
  from.remove_prefix(length);
  return true;
}
bool TakeText(std::string_view& from, std::string& out) {
  std::string_view text;
  if (!TakeText(from, text)) return false;
  out = text;
  return true;
}

}  // namespace

Summary::Summary(PageBuffer table, std::size_t bytes, std::uint32_t entries)
    : table_(std::move(table)), bytes_(bytes), entries_(entries) {
  SLUICE_CHECK(std::size_t{entries} * sizeof(SummaryEntry) <= bytes);
}

SummaryEntry Summary::entry(std::uint32_t i) const {
  SLUICE_CHECK(i < entries_);
  SummaryEntry entry;
  std::memcpy(&entry, table_.get() + std::size_t{i} * sizeof entry, sizeof entry);
  return entry;
}

std::string_view Summary::TextsFrom(std::uint32_t at) const {
  const std::string_view texts = table().substr(std::size_t{entries_} * sizeof(SummaryEntry));
  return at < texts.size() ? texts.substr(at) : std::string_view();
}

std::string_view Summary::name(const SummaryEntry& entry) const {
  std::string_view left = TextsFrom(entry.object_at);
  std::uint64_t size = 0;
  std::uint32_t headers_at = 0;
  std::string_view name;
  const bool fits = Take(left, size) && Take(left, headers_at) && TakeText(left, name) &&
                    name.size() <= kMaxNameBytes;
  return fits ? name : std::string_view();
}

bool Summary::Describe(const SummaryEntry& entry, ObjectMeta& meta) const {
  std::string_view left = TextsFrom(entry.object_at);
  std::uint32_t headers_at = 0, headers = 0;
  std::string_view name;
  if (!Take(left, meta.size) || !Take(left, headers_at) || !TakeText(left, name) ||
      !TakeText(left, meta.etag) || !TakeText(left, meta.version_id) ||
      !TakeText(left, meta.last_modified))
    return false;
  left = TextsFrom(headers_at);
  if (!Take(left, headers) || headers > kMaxSummaryHeaders) return false;
  meta.headers.resize(headers);
  for (auto& [header, value] : meta.headers)
    if (!TakeText(left, header) || !TakeText(left, value)) return false;
  return true;
}

bool Summary::Fits(std::uint32_t end_page) const {
  for (std::uint32_t i = 0; i < entries_; ++i) {
    const SummaryEntry at = entry(i);
    const bool chunk = at.kind == static_cast<std::uint16_t>(Record::Kind::kChunk);
    const std::uint64_t end =
        std::uint64_t{at.page} + at.header_pages + RoundToPages(at.data_bytes) / kPageBytes;
    if (at.page == 0 || at.header_pages == 0 || end > end_page || name(at).empty() ||
        at.order > kMaxDiskCounter || (!chunk && !at.tombstone()))
      return false;
  }
  return true;
}

void SummaryBuilder::Clear() { *this = SummaryBuilder(); }

void SummaryBuilder::Restore(const Summary& summary) {
  Clear();
  const std::string_view table = summary.table();
  const std::size_t entries = std::size_t{summary.size()} * sizeof(SummaryEntry);
  entries_ = table.substr(0, entries);
  texts_ = table.substr(entries);
  count_ = summary.size();
}

std::uint32_t SummaryBuilder::Place(const std::string& block, std::uint32_t* last_at,
                                    std::uint32_t* last_bytes) {
  if (std::string_view(texts_).substr(*last_at, *last_bytes) != block) {
    *last_at = static_cast<std::uint32_t>(texts_.size());
    *last_bytes = static_cast<std::uint32_t>(block.size());
    texts_ += block;
  }
  return *last_at;
}

void SummaryBuilder::Add(const Record& record, std::uint32_t page, std::uint32_t header_pages) {
  std::string block;
  AppendTo(block, static_cast<std::uint32_t>(record.meta.headers.size()));
  for (const auto& [name, value] : record.meta.headers) {
    AppendTextTo(block, name);
    AppendTextTo(block, value);
  }
  const std::uint32_t headers_at = Place(block, &last_headers_at_, &last_headers_bytes_);
  block.clear();
  AppendTo(block, record.meta.size);
  AppendTo(block, headers_at);
  for (const std::string* text :
       {&record.name, &record.meta.etag, &record.meta.version_id, &record.meta.last_modified})
    AppendTextTo(block, *text);
  AppendTo(entries_, SummaryEntry{
                         .page = page,
                         .header_pages = static_cast<std::uint16_t>(header_pages),
                         .kind = static_cast<std::uint16_t>(record.kind),
                         .data_bytes = record.data_bytes,
                         .data_crc = record.data_crc,
                         .chunk_index = record.chunk_index,
                         .object_at = Place(block, &last_object_at_, &last_object_bytes_),
                         .order = record.order,
                     });
  ++count_;
}

std::size_t SummaryBuilder::bytes_with(const Record& record) const {
  constexpr std::size_t kLengths = 8 + 4 + 4 * 4 + 4;  // of both blocks
  std::size_t texts = record.name.size() + record.meta.etag.size() + record.meta.version_id.size() +
                      record.meta.last_modified.size();
  for (const auto& [name, value] : record.meta.headers) texts += name.size() + value.size() + 8;
  return bytes() + sizeof(SummaryEntry) + kLengths + texts;
}

void SummaryBuilder::CopyTo(char* table) const {
  std::memcpy(table, entries_.data(), entries_.size());
  std::memcpy(table + entries_.size(), texts_.data(), texts_.size());
}

Summary SummaryBuilder::Finish() const {
  if (count_ == 0) return {};
  PageBuffer table = AllocatePages(bytes());
  if (table == nullptr) return {};
  CopyTo(table.get());
  return {std::move(table), bytes(), count_};
}

}  // namespace sluice::store
