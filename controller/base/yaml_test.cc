#include "controller/base/yaml.h"

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

std::string Told(const std::string& text, YamlDocuments documents) {
  const Status status = CheckYamlEnd(text, documents);
  return status.ok() ? "" : std::string(status.message());
}

TEST(YamlEnd, OneDocumentMayHaveItsMarksCommentsAndNothingBehindIt) {
  for (const char* text : {"", "a: 1", "a: 1\n", "---\na: 1\n", "# c\n---\na: 1\n...\n# end\n",
                           "a: 1\n---\n", "a: 1\n---\n# nothing\n---\n", "[a]\n"}) {
    EXPECT_EQ(Told(text, YamlDocuments::kOne), "") << text;
  }
}

TEST(YamlEnd, ASecondDocumentIsRefusedWithItsPlace) {
  EXPECT_EQ(Told("a: 1\n---\nb: 2\n", YamlDocuments::kOne),
            "line 3, column 1: a second document; keep one");
  EXPECT_EQ(Told("a: 1\n---\n---\n  [b]\n", YamlDocuments::kOne),
            "line 4, column 3: a second document; keep one");
  EXPECT_EQ(Told("a: 1\n---\nb\n", YamlDocuments::kOne),
            "line 3, column 1: a second document; keep one");
  EXPECT_EQ(Told("a: 1\n---\nb: 2\n---\nc: [3]\n", YamlDocuments::kMany), "");
}

TEST(YamlEnd, WhatBeginsNoDocumentIsRefusedAndNotReadForEver) {
  for (const YamlDocuments documents : {YamlDocuments::kOne, YamlDocuments::kMany}) {
    for (const char* text : {"- a\n, b\n", "[a], b\n", "{a: b}, {c: d}\n", ", a\n"}) {
      EXPECT_NE(Told(text, documents).find("belongs to no document; remove it"), std::string::npos)
          << text << ": " << Told(text, documents);
    }
  }
}

TEST(YamlEnd, WhatIsNoYamlIsToldOnlyBehindAndWithoutItsWords) {
  EXPECT_EQ(Told("a: [", YamlDocuments::kOne), "") << "its reader tells it";
  EXPECT_EQ(Told("a: 1\n---\nb: [", YamlDocuments::kMany), "") << "its reader tells it";
  EXPECT_EQ(Told("a: 1\n---\n*secret\n", YamlDocuments::kOne),
            "line 3, column 1: what follows the document is no YAML; remove it");
}

}  // namespace
}  // namespace sluice::base
