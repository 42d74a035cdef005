// Reads small XML documents (S3's bodies) as a sequence of elements, with bounds on size and depth.
//
// Document types and entities of one's own are refused: S3 has none, and expanding them is how XML
// parsers are exhausted. Names come without a namespace prefix. Pure; over expat.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"

namespace sluice::s3 {

struct XmlElement {
  // Names from the root to this element: {"ListBucketResult", "Contents", "Key"}.
  const std::vector<std::string>& path;
  std::string_view text;  // of this element alone, children's left out

  std::string_view name() const { return path.back(); }
  bool Is(std::string_view parent, std::string_view leaf) const {
    return path.size() >= 2 && path[path.size() - 2] == parent && path.back() == leaf;
  }
};

class XmlVisitor {
 public:
  virtual ~XmlVisitor() = default;
  virtual void OnOpen(const std::vector<std::string>& path) { static_cast<void>(path); }
  // At its end. False: stop, the document is not what was wanted.
  virtual bool OnElement(const XmlElement& element) = 0;
};

// Errors: InvalidArgument (not well-formed, refused, too deep), ResourceExhausted (too large).
base::Status ReadXml(std::string_view document, XmlVisitor* visitor);

}  // namespace sluice::s3
