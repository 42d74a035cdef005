#include "datapath/s3/xml_read.h"

#include <expat.h>

#include <memory>

#include "datapath/s3/limits.h"

namespace sluice::s3 {
namespace {

struct Reader {
  XML_Parser parser = nullptr;
  XmlVisitor* visitor = nullptr;
  std::vector<std::string> path;
  std::vector<std::string> texts;  // one a level
  std::string refusal;

  void Refuse(const char* why) {
    if (refusal.empty()) refusal = why;
    XML_StopParser(parser, XML_FALSE);
  }
};

std::string LocalName(const char* name) {
  const std::string_view text(name);
  const std::size_t colon = text.rfind(':');
  return std::string(colon == std::string_view::npos ? text : text.substr(colon + 1));
}

void OnStart(void* user, const char* name, const char**) {
  auto* reader = static_cast<Reader*>(user);
  if (reader->path.size() >= static_cast<std::size_t>(kMaxXmlDepth))
    return reader->Refuse("nested too deeply");
  reader->path.push_back(LocalName(name));
  reader->texts.emplace_back();
  reader->visitor->OnOpen(reader->path);
}

void OnEnd(void* user, const char*) {
  auto* reader = static_cast<Reader*>(user);
  if (reader->path.empty()) return;
  if (!reader->visitor->OnElement({reader->path, reader->texts.back()}))
    return reader->Refuse("not the document that was expected");
  reader->path.pop_back();
  reader->texts.pop_back();
}

void OnText(void* user, const char* text, int size) {
  auto* reader = static_cast<Reader*>(user);
  if (!reader->texts.empty()) reader->texts.back().append(text, static_cast<std::size_t>(size));
}

void OnDoctype(void* user, const char*, const char*, const char*, int) {
  static_cast<Reader*>(user)->Refuse("document types are not accepted");
}

}  // namespace

base::Status ReadXml(std::string_view document, XmlVisitor* visitor) {
  if (document.size() > kMaxXmlBytes)
    return base::ResourceExhausted("the XML document is too large");
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate("UTF-8"), &XML_ParserFree);
  if (parser == nullptr) return base::ResourceExhausted("no memory for an XML parser");
  Reader reader;
  reader.parser = parser.get();
  reader.visitor = visitor;
  XML_SetUserData(parser.get(), &reader);
  XML_SetElementHandler(parser.get(), OnStart, OnEnd);
  XML_SetCharacterDataHandler(parser.get(), OnText);
  XML_SetStartDoctypeDeclHandler(parser.get(), OnDoctype);
  if (XML_Parse(parser.get(), document.data(), static_cast<int>(document.size()), 1) ==
      XML_STATUS_OK)
    return base::OkStatus();
  return base::InvalidArgument(
      "XML: " + (reader.refusal.empty()
                     ? std::string(XML_ErrorString(XML_GetErrorCode(parser.get()))) + " in line " +
                           std::to_string(XML_GetCurrentLineNumber(parser.get()))
                     : reader.refusal));
}

}  // namespace sluice::s3
