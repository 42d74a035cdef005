#include "datapath/s3/xml.h"

#include <charconv>
#include <cstring>

namespace sluice::s3 {

void XmlWriter::Raw(std::string_view bytes) {
  if (bytes.empty()) return;  // may be a null view
  if (!ok_ || out_.size() - size_ < bytes.size()) {
    ok_ = false;
    return;
  }
  std::memcpy(out_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void XmlWriter::Declaration() { Raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"); }

void XmlWriter::Open(std::string_view name) {
  Raw("<");
  Raw(name);
  Raw(">");
}

void XmlWriter::Close(std::string_view name) {
  Raw("</");
  Raw(name);
  Raw(">");
}

void XmlWriter::Element(std::string_view name, std::string_view text) {
  Open(name);
  Text(text);
  Close(name);
}

void XmlWriter::Element(std::string_view name, std::uint64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  Element(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

void XmlWriter::Text(std::string_view text) {
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string_view entity;
    const auto c = static_cast<unsigned char>(text[i]);
    char numeric[8] = "&#x00;";
    if (c == '&')
      entity = "&amp;";
    else if (c == '<')
      entity = "&lt;";
    else if (c == '>')
      entity = "&gt;";
    else if (c == '"')
      entity = "&quot;";
    else if (c == '\r')
      entity = "&#13;";
    else if (c < 0x20 && c != '\t' && c != '\n') {
      // Not allowed in XML 1.0 even as a reference; S3 writes them all the same, as clients'
      // parsers must see some byte here. Lists with such keys are asked for with encoding-type=url.
      numeric[3] = "0123456789abcdef"[c >> 4];
      numeric[4] = "0123456789abcdef"[c & 15];
      entity = std::string_view(numeric, 6);
    }
    if (entity.empty()) continue;
    Raw(text.substr(run, i - run));
    Raw(entity);
    run = i + 1;
  }
  Raw(text.substr(run));
}

}  // namespace sluice::s3
