// Time to read a LIST of 30,000 objects with the JSON candidates, doing the same work each time:
// find name, namespace, uid and resourceVersion, cut managedFields out, keep the rest as bytes.
//
//   build/release/bin/json_probe [objects] [repeats]
//
// Prints processor milliseconds per candidate, the median of the repeats, interleaved. The result
// stands in docs/adr/0061-json-on-the-list-path.md.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/base/check.h"
#include "controller/client/list_page.h"

namespace {

const sluice::meta::Resource kWidgets{"bench.example.com", "v1", "Widget", "widgets", true};

struct Kept {
  std::string name, ns, uid, version, json;
};

std::string MakeList(int count) {
  std::string out = R"({"apiVersion":"bench.example.com/v1","items":[)";
  for (int i = 0; i < count; ++i) {
    const std::string filler(40, static_cast<char>('a' + i % 26));
    std::string params;
    for (int p = 0; p < 16; ++p) {
      params += fmt::format(R"({}"parameter-{}":"{}{}")", p == 0 ? "" : ",", p, filler, i);
    }
    out += fmt::format(
        R"({}{{"apiVersion":"bench.example.com/v1","kind":"Widget","metadata":{{"creationTimestamp":)"
        R"("2026-01-01T00:00:00Z","generation":1,"managedFields":[{{"apiVersion":"bench.example.com/v1",)"
        R"("fieldsType":"FieldsV1","fieldsV1":{{"f:spec":{{".":{{}},"f:title":{{}},"f:owner":{{}},"f:tier":)"
        R"({{}},"f:params":{{".":{{}},"f:parameter-0":{{}},"f:parameter-1":{{}}}}}}}},"manager":"bench",)"
        R"("operation":"Apply","time":"2026-01-01T00:00:00Z"}}],"name":"widget-{}","namespace":"default",)"
        R"("resourceVersion":"{}","uid":"01234567-89ab-cdef-0123-{:012}"}},"spec":{{"title":"{}","owner":)"
        R"("team","tier":"Gold","replicas":3,"capacityBytes":9007199254740993,"enabled":true,"tags":)"
        R"(["a","b","c"],"params":{{{}}}}}}})",
        i == 0 ? "" : ",", i, 1000 + i, i, filler, params);
  }
  return out + R"(],"kind":"WidgetList","metadata":{"continue":"","resourceVersion":"99999"}})";
}

std::size_t WithNlohmann(const std::string& text) {
  nlohmann::json list = nlohmann::json::parse(text);
  std::vector<Kept> kept;
  for (nlohmann::json& item : list["items"]) {
    nlohmann::json& metadata = item["metadata"];
    metadata.erase("managedFields");
    kept.push_back({metadata["name"], metadata["namespace"], metadata["uid"],
                    metadata["resourceVersion"], item.dump()});
  }
  return kept.size();
}

std::size_t WithSimdjson(const simdjson::padded_string& text) {
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document = parser.iterate(text);
  std::vector<Kept> kept;
  for (simdjson::ondemand::value item : document["items"]) {
    Kept one;
    simdjson::ondemand::object object = item.get_object();
    std::string_view fields;
    for (simdjson::ondemand::field member : object) {
      if (member.key() != "metadata") continue;
      simdjson::ondemand::object metadata = member.value().get_object();
      for (simdjson::ondemand::field field : metadata) {
        const simdjson::ondemand::raw_json_string key = field.key();
        if (key == "managedFields")
          fields = field.value().get_array().value().raw_json();
        else if (key == "name")
          one.name = std::string_view(field.value().get_string());
        else if (key == "namespace")
          one.ns = std::string_view(field.value().get_string());
        else if (key == "uid")
          one.uid = std::string_view(field.value().get_string());
        else if (key == "resourceVersion")
          one.version = std::string_view(field.value().get_string());
      }
    }
    object.reset();
    const std::string_view whole = object.raw_json();
    constexpr std::size_t kMember = 17;  // ,"managedFields":
    const std::size_t cut = static_cast<std::size_t>(fields.data() - whole.data()) - kMember;
    one.json.reserve(whole.size());
    one.json.append(whole.substr(0, cut)).append(whole.substr(cut + kMember + fields.size()));
    kept.push_back(std::move(one));
  }
  return kept.size();
}

std::size_t WithOwnScanner(const std::string& text) {
  return sluice::client::ParseListPage(kWidgets, text).value().objects.items.size();
}

double CpuMs() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  const int objects = argc > 1 ? std::atoi(argv[1]) : 30000;
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 5;
  const std::string text = MakeList(objects);
  const simdjson::padded_string padded(text);
  std::vector<std::vector<double>> times(3);
  for (int i = 0; i < repeats; ++i) {
    for (int candidate = 0; candidate < 3; ++candidate) {
      const double start = CpuMs();
      const std::size_t count = candidate == 0   ? WithNlohmann(text)
                                : candidate == 1 ? WithSimdjson(padded)
                                                 : WithOwnScanner(text);
      times[static_cast<std::size_t>(candidate)].push_back(CpuMs() - start);
      SLUICE_CHECK(count == static_cast<std::size_t>(objects));
    }
  }
  fmt::print("{} objects, {} bytes, {} repeats\n", objects, text.size(), repeats);
  const char* names[] = {"nlohmann", "simdjson ondemand", "own scanner"};
  for (std::size_t i = 0; i < 3; ++i) {
    std::sort(times[i].begin(), times[i].end());
    const double median = times[i][times[i].size() / 2];
    fmt::print("{:18} {:8.1f} ms  (min {:.1f}, max {:.1f})  {:6.0f} MB/s\n", names[i], median,
               times[i].front(), times[i].back(), static_cast<double>(text.size()) / median / 1e3);
  }
  return 0;
}
