// Runs promtool on rules, and an objective of time slices to ask it about.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "controller/base/file.h"
#include "reconcilers/gates/slo_cases.h"

namespace sluice::gates::cases {

// A directory of its own, removed with it.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / fmt::format("rules-{}", getpid())) {
    std::filesystem::create_directory(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = path_ / name;
    EXPECT_TRUE(base::WriteFileAtomic(path, text).ok());
    return path;
  }
  // Runs promtool and returns its output; fails the test unless it exits with `wanted`.
  std::string Promtool(const std::string& arguments, int wanted = 0) const {
    const std::string log = path_ / "log";
    const int code = std::system(
        fmt::format("cd '{}' && timeout 60 promtool {} >log 2>&1", path_.string(), arguments)
            .c_str());
    auto text = base::ReadFile(log);
    EXPECT_EQ(WEXITSTATUS(code), wanted) << (text.ok() ? *text : "");
    return text.ok() ? *text : "";
  }

 private:
  std::filesystem::path path_;
};

inline Slo Sliced(BudgetingMethod method) {
  Slo slo = Availability();
  slo.name = method == BudgetingMethod::kTimeslices ? "sliced" : "mean";
  slo.method = method;
  slo.slice = minutes(1);
  if (method == BudgetingMethod::kTimeslices) slo.slice_target = D("0.95");
  slo.target = D("0.9");
  slo.window = minutes(10);
  slo.scrape_interval = seconds(15);
  slo.indicator.good = "sum(rate(ok[$window]))";
  slo.indicator.total = "sum(rate(all[$window]))";
  return slo;
}

}  // namespace sluice::gates::cases
