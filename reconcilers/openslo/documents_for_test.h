// Documents of testdata/, imported, and what is told about them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/base/file.h"
#include "reconcilers/openslo/convert.h"
#include "reconcilers/openslo/document.h"

namespace sluice::openslo {

using nlohmann::json;

inline std::vector<json> Load(const std::string& file) {
  const auto text = base::ReadFile("reconcilers/openslo/testdata/" + file);
  EXPECT_TRUE(text.ok());
  auto documents = ReadYaml(*text);
  EXPECT_TRUE(documents.ok()) << documents.status().ToString();
  return *documents;
}

inline Imported ImportOf(const std::vector<json>& documents, const std::string& subject = "") {
  std::vector<Document> named;
  for (const json& each : documents) {
    named.push_back({"document " + std::to_string(named.size() + 1), each.dump()});
  }
  return Import(named, {.subject = subject});
}

inline std::string Told(const Imported& imported) {
  std::string out;
  for (const Problem& p : imported.problems)
    out += p.document + ": " + p.field + " " + p.rule + "\n";
  return out;
}

inline json SpecOf(const std::string& object) { return json::parse(object)["spec"]; }

inline std::map<std::string, json> ByName(const std::vector<std::string>& objects) {
  std::map<std::string, json> out;
  for (const std::string& text : objects) {
    out[json::parse(text)["metadata"]["name"].get<std::string>()] = SpecOf(text);
  }
  EXPECT_EQ(out.size(), objects.size());
  return out;
}

}  // namespace sluice::openslo
