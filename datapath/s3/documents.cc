#include "datapath/s3/documents.h"

#include <array>
#include <charconv>

#include "datapath/s3/limits.h"
#include "datapath/s3/operation.h"
#include "datapath/s3/uri.h"
#include "datapath/s3/xml.h"
#include "datapath/s3/xml_read.h"

namespace sluice::s3 {
namespace {

constexpr std::string_view kDeclaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
constexpr std::string_view kNamespace = " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

std::string Element(std::string_view name, std::string_view value) {
  std::string room(value.size() * 6 + name.size() * 2 + 8, '\0');
  XmlWriter xml(room);
  xml.Element(name, value);
  return std::string(xml.text());
}
std::string ElementIfAny(std::string_view name, std::string_view value) {
  return value.empty() ? std::string() : Element(name, value);
}

class ErrorReader final : public XmlVisitor {
 public:
  bool OnElement(const XmlElement& element) override {
    if (element.path[0] != "Error") return false;
    if (element.Is("Error", "Code")) error.code = element.text;
    if (element.Is("Error", "Message")) error.message = element.text;
    return true;
  }
  OriginError error;
};

class DeleteReader final : public XmlVisitor {
 public:
  void OnOpen(const std::vector<std::string>& path) override {
    if (path.size() == 2 && path[1] == "Object" && request.entries.size() <= kMaxDeleteKeys)
      request.entries.emplace_back();
  }
  bool OnElement(const XmlElement& element) override {
    if (element.path[0] != "Delete") return false;
    if (element.Is("Delete", "Quiet")) request.quiet = element.text == "true";
    if (element.path.size() != 3 || element.path[1] != "Object")
      return request.entries.size() <= kMaxDeleteKeys;
    const std::string_view name = element.name();
    if (name == "Key") request.entries.back().key = element.text;
    if (name == "VersionId") request.entries.back().version_id = element.text;
    // Conditions on the entry must not get lost on the way.
    if (name == "ETag" || name == "Size" || name == "LastModifiedTime") return false;
    return request.entries.size() <= kMaxDeleteKeys;
  }
  DeleteRequest request;
};

class DeleteResultReader final : public XmlVisitor {
 public:
  void OnOpen(const std::vector<std::string>& path) override {
    if (path.size() == 2 && (path[1] == "Deleted" || path[1] == "Error") &&
        outcomes.size() <= kMaxDeleteKeys)
      outcomes.emplace_back();
  }
  bool OnElement(const XmlElement& element) override {
    if (element.path[0] != "DeleteResult") return false;
    if (element.path.size() != 3) return outcomes.size() <= kMaxDeleteKeys;
    if (outcomes.empty()) return true;
    DeleteOutcome& outcome = outcomes.back();
    const std::string_view name = element.name();
    if (name == "Key") outcome.key = element.text;
    if (name == "VersionId") outcome.version_id = element.text;
    if (name == "DeleteMarker") outcome.delete_marker = element.text;
    if (name == "DeleteMarkerVersionId") outcome.delete_marker_version_id = element.text;
    if (name == "Code") outcome.error_code = element.text;
    if (name == "Message") outcome.error_message = element.text;
    return true;
  }
  std::vector<DeleteOutcome> outcomes;
};

// Writes the document again, with other names at depth two.
class Renamer final : public XmlVisitor {
 public:
  Renamer(std::string_view bucket, std::string_view key) : bucket_(bucket), key_(key) {}
  void OnOpen(const std::vector<std::string>& path) override {
    has_children_.resize(path.size());
    if (path.size() > 1) has_children_[path.size() - 2] = true;
    has_children_.back() = false;
    at_.resize(path.size());
    at_.back() = out.size();
    out += "<" + path.back() + (path.size() == 1 ? std::string(kNamespace) : "") + ">";
  }
  bool OnElement(const XmlElement& element) override {
    const std::size_t depth = element.path.size();
    if (has_children_[depth - 1]) {
      out += "</" + element.path.back() + ">";
      return true;
    }
    out.resize(at_[depth - 1]);  // a leaf is written whole
    std::string value(element.text);
    if (depth == 2 && element.name() == "Bucket") value = bucket_;
    if (depth == 2 && element.name() == "Key") value = key_;
    if (depth == 2 && element.name() == "Location")
      value = "/" + std::string(bucket_) + "/" + std::string(key_);
    if (depth == 1) {
      out += "<" + element.path[0] + std::string(kNamespace) + "></" + element.path[0] + ">";
    } else {
      out += Element(element.name(), value);
    }
    return true;
  }
  std::string out{kDeclaration};

 private:
  const std::string_view bucket_, key_;
  std::vector<bool> has_children_;
  std::vector<std::size_t> at_;
};

}  // namespace

base::StatusOr<OriginError> ParseErrorXml(std::string_view xml) {
  ErrorReader reader;
  SLUICE_RETURN_IF_ERROR(ReadXml(xml, &reader));
  return std::move(reader.error);
}

base::StatusOr<DeleteRequest> ParseDeleteRequest(std::string_view xml) {
  DeleteReader reader;
  SLUICE_RETURN_IF_ERROR(ReadXml(xml, &reader));
  if (reader.request.entries.empty()) return base::InvalidArgument("no object is named");
  for (const DeleteEntry& entry : reader.request.entries) {
    if (entry.key.empty() || entry.key.size() > kMaxKeyBytes || HasDotSegment(entry.key))
      return base::InvalidArgument("a key is empty, too long or has a dot segment");
  }
  return std::move(reader.request);
}

std::string WriteDeleteRequest(const DeleteRequest& request) {
  std::string out(kDeclaration);
  out.append("<Delete").append(kNamespace).append(">");
  if (request.quiet) out += "<Quiet>true</Quiet>";
  for (const DeleteEntry& entry : request.entries) {
    out += "<Object>" + Element("Key", entry.key) + ElementIfAny("VersionId", entry.version_id) +
           "</Object>";
  }
  return out + "</Delete>";
}

base::StatusOr<std::vector<DeleteOutcome>> ParseDeleteResult(std::string_view xml) {
  DeleteResultReader reader;
  SLUICE_RETURN_IF_ERROR(ReadXml(xml, &reader));
  return std::move(reader.outcomes);
}

std::string WriteDeleteResult(const std::vector<DeleteOutcome>& outcomes) {
  std::string out(kDeclaration);
  out.append("<DeleteResult").append(kNamespace).append(">");
  for (const DeleteOutcome& outcome : outcomes) {
    if (outcome.error_code.empty()) {
      out += "<Deleted>" + Element("Key", outcome.key) +
             ElementIfAny("VersionId", outcome.version_id) +
             ElementIfAny("DeleteMarker", outcome.delete_marker) +
             ElementIfAny("DeleteMarkerVersionId", outcome.delete_marker_version_id) + "</Deleted>";
    } else {
      out += "<Error>" + Element("Key", outcome.key) +
             ElementIfAny("VersionId", outcome.version_id) + Element("Code", outcome.error_code) +
             Element("Message", outcome.error_message) + "</Error>";
    }
  }
  return out + "</DeleteResult>";
}

base::StatusOr<std::string> RenameObject(std::string_view xml, std::string_view bucket,
                                         std::string_view key) {
  Renamer renamer(bucket, key);
  SLUICE_RETURN_IF_ERROR(ReadXml(xml, &renamer));
  return std::move(renamer.out);
}

Error ReadBucketPage(const Query& query, std::string_view region, BucketPage* page) {
  std::array<char, 2 * kMaxBucketBytes> room;
  const auto read = [&](std::string_view name, std::string* value) {
    const QueryParam* const parameter = query.Find(name);
    if (parameter == nullptr) return true;
    const auto decoded = Decode(parameter->value, UriPart::kQuery, room);
    if (decoded) *value = *decoded;
    return decoded.has_value();
  };
  std::string max, bucket_region;
  if (!read("prefix", &page->prefix) || !read("bucket-region", &bucket_region))
    return {ErrorCode::kInvalidArgument, {}};
  if (!read("continuation-token", &page->after) ||
      (!page->after.empty() && !IsBucketName(page->after)))
    return {ErrorCode::kInvalidArgument, "The continuation token provided is incorrect"};
  page->elsewhere = !bucket_region.empty() && bucket_region != region;
  if (query.Find("max-buckets") == nullptr) return {};
  if (!read("max-buckets", &max)) max.clear();
  const auto [end, error] = std::from_chars(max.data(), max.data() + max.size(), page->max_buckets);
  if (error != std::errc() || end != max.data() + max.size() || page->max_buckets < 1 ||
      page->max_buckets > 10000)
    return {ErrorCode::kInvalidArgument,
            "Argument max-buckets must be an integer between 1 and 10000"};
  return {};
}

std::string WriteBuckets(std::string_view owner, const BucketPage& page,
                         const std::vector<NamedBucket>& buckets) {
  std::string out(kDeclaration);
  out.append("<ListAllMyBucketsResult").append(kNamespace).append(">");
  out += "<Owner>" + Element("ID", owner) + Element("DisplayName", owner) + "</Owner><Buckets>";
  std::size_t told = 0;
  std::string_view last;
  bool more = false;
  for (const NamedBucket& bucket : buckets) {
    if (page.elsewhere || bucket.name <= page.after || !bucket.name.starts_with(page.prefix))
      continue;
    more = told == page.max_buckets;
    if (more) break;
    ++told;
    last = bucket.name;
    out += "<Bucket>" + Element("Name", bucket.name) + Element("CreationDate", bucket.created) +
           "</Bucket>";
  }
  out += "</Buckets>";
  if (more) out += Element("ContinuationToken", last);
  if (!page.prefix.empty()) out += Element("Prefix", page.prefix);
  return out + "</ListAllMyBucketsResult>";
}

std::string WriteLocation(std::string_view region) {
  std::string out(kDeclaration);
  out.append("<LocationConstraint").append(kNamespace);
  if (region == "us-east-1") return out + "/>";
  return out + ">" + std::string(region) + "</LocationConstraint>";
}

}  // namespace sluice::s3
