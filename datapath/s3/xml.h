// Writes XML into a buffer of the caller's; text is escaped as S3 escapes it. No allocation.
// Thread rule: owned by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::s3 {

class XmlWriter {
 public:
  explicit XmlWriter(std::span<char> out) : out_(out) {}
  void Declaration();
  void Open(std::string_view name);  // may hold attributes: "ListBucketResult xmlns=\"...\""
  void Close(std::string_view name);
  void Element(std::string_view name, std::string_view text);
  void Element(std::string_view name, std::uint64_t number);
  void Raw(std::string_view bytes);
  bool ok() const { return ok_; }
  std::size_t size() const { return size_; }
  // What was written; empty when it did not fit.
  std::string_view text() const {
    return ok_ ? std::string_view(out_.data(), size_) : std::string_view();
  }

 private:
  void Text(std::string_view text);

  std::span<char> out_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace sluice::s3
