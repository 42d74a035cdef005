#include "datapath/s3/list.h"

#include <charconv>

#include "datapath/s3/limits.h"
#include "datapath/s3/sign.h"
#include "datapath/s3/uri.h"
#include "datapath/s3/xml.h"
#include "datapath/s3/xml_read.h"

namespace sluice::s3 {
namespace {

std::string Decoded(std::string_view raw) {
  std::string room(raw.size(), '\0');
  return std::string(Decode(raw, UriPart::kQuery, room).value_or(raw));
}

std::string ValueOf(const Query& query, std::string_view name) {
  const QueryParam* param = query.Find(name);
  return param == nullptr ? std::string() : Decoded(param->value);
}

class PageReader final : public XmlVisitor {
 public:
  void OnOpen(const std::vector<std::string>& path) override {
    if (path.size() == 1) is_list_ = path[0] == "ListBucketResult";
    if (path.size() == 2 && path[1] == "Contents") page.objects.emplace_back();
  }
  bool OnElement(const XmlElement& element) override {
    if (!is_list_) return false;
    const std::size_t depth = element.path.size();
    if (depth < 2) return true;
    if (depth == 2) return OnTop(element);
    if (element.path[1] == "Contents") {
      if (depth == 3) return OnObject(element);
      if (element.Is("Owner", "ID")) page.objects.back().owner_id = element.text;
      if (element.Is("Owner", "DisplayName")) page.objects.back().owner_name = element.text;
    } else if (depth == 3 && element.Is("CommonPrefixes", "Prefix")) {
      page.common_prefixes.emplace_back(element.text);
    }
    return page.objects.size() + page.common_prefixes.size() <= kMaxListKeys;
  }
  // Names are decoded at the end, when it is known whether they were encoded.
  void DecodeNames() {
    if (!encoded_) return;
    for (ListedObject& object : page.objects) object.key = Decoded(object.key);
    for (std::string& prefix : page.common_prefixes) prefix = Decoded(prefix);
    if (has_marker_) page.next = Decoded(page.next);
  }
  bool is_list() const { return is_list_; }
  ListPage page;

 private:
  bool OnTop(const XmlElement& element) {
    if (element.name() == "EncodingType") encoded_ = element.text == "url";
    if (element.name() == "IsTruncated") page.truncated = element.text == "true";
    if (element.name() == "NextContinuationToken") page.next = element.text;
    if (element.name() == "NextMarker") {
      page.next = element.text;
      has_marker_ = true;
    }
    return page.objects.size() + page.common_prefixes.size() <= kMaxListKeys;
  }
  bool OnObject(const XmlElement& element) {
    ListedObject& object = page.objects.back();
    const std::string_view name = element.name();
    if (name == "Key") object.key = element.text;
    if (name == "LastModified") object.last_modified = element.text;
    if (name == "ETag") object.etag = element.text;
    if (name == "StorageClass") object.storage_class = element.text;
    if (name == "ChecksumAlgorithm") object.checksum_algorithm = element.text;
    if (name == "ChecksumType") object.checksum_type = element.text;
    if (name != "Size") return true;
    const char* const end = element.text.data() + element.text.size();
    const auto [at, error] = std::from_chars(element.text.data(), end, object.bytes);
    return error == std::errc() && at == end;
  }
  bool is_list_ = false;
  bool encoded_ = false;
  bool has_marker_ = false;
};

// XML text that grows; S3's lists may reach a megabyte.
class Document {
 public:
  explicit Document(bool encode_url) : encode_url_(encode_url) {}
  void Raw(std::string_view bytes) { text_ += bytes; }
  void Element(std::string_view name, std::string_view value) {
    room_.resize(value.size() * 6 + name.size() * 2 + 8);
    XmlWriter xml(room_);
    xml.Element(name, value);
    text_ += xml.text();
  }
  void Number(std::string_view name, std::uint64_t value) { Element(name, std::to_string(value)); }
  void Name(std::string_view name, std::string_view value) {  // subject to encoding-type
    if (!encode_url_) return Element(name, value);
    std::string encoded(value.size() * 3, '\0');
    Element(name, *Encode(value, UriPart::kPath, encoded));
  }
  std::string Take() { return std::move(text_); }

 private:
  const bool encode_url_;
  std::string text_;
  std::string room_;
};

void WriteObject(const ListRequest& request, const ListedObject& object, Document* out) {
  out->Raw("<Contents>");
  out->Name("Key", object.key);
  out->Element("LastModified", object.last_modified);
  out->Element("ETag", object.etag);
  if (!object.checksum_algorithm.empty())
    out->Element("ChecksumAlgorithm", object.checksum_algorithm);
  if (!object.checksum_type.empty()) out->Element("ChecksumType", object.checksum_type);
  out->Number("Size", object.bytes);
  if ((request.fetch_owner || !request.v2) && !object.owner_id.empty()) {
    out->Raw("<Owner>");
    out->Element("ID", object.owner_id);
    if (!object.owner_name.empty()) out->Element("DisplayName", object.owner_name);
    out->Raw("</Owner>");
  }
  out->Element("StorageClass", object.storage_class.empty() ? "STANDARD" : object.storage_class);
  out->Raw("</Contents>");
}

}  // namespace

Error ParseListRequest(const Query& query, bool v2, ListRequest* request) {
  *request = ListRequest();
  request->v2 = v2;
  request->prefix = ValueOf(query, "prefix");
  request->delimiter = ValueOf(query, "delimiter");
  const std::string encoding = ValueOf(query, "encoding-type");
  if (!encoding.empty() && encoding != "url")
    return {ErrorCode::kInvalidArgument, "Invalid Encoding Method specified in Request"};
  request->encode_url = !encoding.empty();
  if (query.Has("max-keys")) {
    const std::string text = ValueOf(query, "max-keys");
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() ||
        value > 0x7fffffff) {
      return {ErrorCode::kInvalidArgument,
              "Argument maxKeys must be an integer between 0 and 2147483647"};
    }
    request->max_keys = std::min<std::uint32_t>(value, kMaxListKeys);
  }
  if (!v2) {
    request->marker = ValueOf(query, "marker");
    return {};
  }
  request->start_after = ValueOf(query, "start-after");
  request->continuation_token = ValueOf(query, "continuation-token");
  request->has_continuation_token = query.Has("continuation-token");
  if (request->has_continuation_token && request->continuation_token.empty())
    return {ErrorCode::kInvalidArgument, "The continuation token provided is incorrect"};
  const std::string owner = ValueOf(query, "fetch-owner");
  if (!owner.empty() && owner != "true" && owner != "false")
    return {ErrorCode::kInvalidArgument, "Argument fetch-owner must be true or false"};
  request->fetch_owner = owner == "true";
  return {};
}

std::string OriginListQuery(const ListRequest& request, std::string_view mount_prefix) {
  QueryBuilder query;
  const auto under = [mount_prefix](const std::string& name) {
    return std::string(mount_prefix) + name;
  };
  if (request.v2) query.Add("list-type", "2");
  query.Add("encoding-type", "url");
  query.Add("max-keys", std::to_string(request.max_keys));
  if (!mount_prefix.empty() || !request.prefix.empty()) query.Add("prefix", under(request.prefix));
  if (!request.delimiter.empty()) query.Add("delimiter", request.delimiter);
  if (!request.marker.empty()) query.Add("marker", under(request.marker));
  if (request.has_continuation_token) query.Add("continuation-token", request.continuation_token);
  if (!request.start_after.empty()) query.Add("start-after", under(request.start_after));
  if (request.fetch_owner) query.Add("fetch-owner", "true");
  return query.Build();
}

base::StatusOr<ListPage> ParseListPage(std::string_view xml) {
  PageReader reader;
  SLUICE_RETURN_IF_ERROR(ReadXml(xml, &reader));
  reader.DecodeNames();
  return std::move(reader.page);
}

void StripPrefix(std::string_view mount_prefix, bool v2, ListPage* page) {
  const auto lies_elsewhere = [mount_prefix](std::string& name) {
    if (name.compare(0, mount_prefix.size(), mount_prefix) != 0) return true;
    name.erase(0, mount_prefix.size());
    return false;
  };
  std::erase_if(page->objects, [&](ListedObject& object) {
    // The object named like the mount's own folder has no name inside it.
    return lies_elsewhere(object.key) || object.key.empty();
  });
  std::erase_if(page->common_prefixes, lies_elsewhere);
  if (!v2 && !page->next.empty() && lies_elsewhere(page->next)) page->next.clear();
}

std::string WriteListPage(std::string_view bucket, const ListRequest& request,
                          const ListPage& page) {
  Document out(request.encode_url);
  out.Raw(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
  out.Element("Name", bucket);
  out.Name("Prefix", request.prefix);
  if (!request.v2) out.Name("Marker", request.marker);
  if (!request.start_after.empty()) out.Name("StartAfter", request.start_after);
  if (request.has_continuation_token) out.Element("ContinuationToken", request.continuation_token);
  if (page.truncated && !page.next.empty()) {
    if (request.v2) {
      out.Element("NextContinuationToken", page.next);
    } else {
      out.Name("NextMarker", page.next);
    }
  }
  if (request.v2) out.Number("KeyCount", page.objects.size() + page.common_prefixes.size());
  out.Number("MaxKeys", request.max_keys);
  if (!request.delimiter.empty()) out.Name("Delimiter", request.delimiter);
  if (request.encode_url) out.Element("EncodingType", "url");
  out.Element("IsTruncated", page.truncated ? "true" : "false");
  for (const ListedObject& object : page.objects) WriteObject(request, object, &out);
  for (const std::string& prefix : page.common_prefixes) {
    out.Raw("<CommonPrefixes>");
    out.Name("Prefix", prefix);
    out.Raw("</CommonPrefixes>");
  }
  out.Raw("</ListBucketResult>");
  return out.Take();
}

}  // namespace sluice::s3
