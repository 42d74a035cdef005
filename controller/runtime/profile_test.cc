#include "controller/runtime/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "controller/base/metrics.h"
#include "controller/http/client.h"
#include "controller/runtime/limits.h"
#include "controller/runtime/pages.h"
#include "controller/testing/command.h"
#include "controller/testing/wait.h"

// Outside every namespace and with C's name, so that nm shows it as it is.
extern "C" [[gnu::noinline]] std::uint64_t sluice_profile_test_burn(std::uint64_t rounds) {
  std::uint64_t x = rounds | 1;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing_kit::WaitUntil;

struct Sample {
  std::uintptr_t count = 0;
  std::vector<std::uintptr_t> stack;
};

// Reads the format anew, from its description.
std::vector<Sample> Decode(const std::string& profile, std::string* maps) {
  std::vector<Sample> out;
  std::size_t at = 0;
  const auto word = [&] {
    std::uintptr_t value = 0;
    SLUICE_CHECK(at + sizeof(value) <= profile.size());
    std::memcpy(&value, profile.data() + at, sizeof(value));
    at += sizeof(value);
    return value;
  };
  EXPECT_EQ(word(), 0U);
  EXPECT_EQ(word(), 3U);
  EXPECT_EQ(word(), 0U);
  EXPECT_EQ(word(), 10'000U);
  EXPECT_EQ(word(), 0U);
  while (true) {
    Sample sample;
    sample.count = word();
    const std::uintptr_t depth = word();
    for (std::uintptr_t i = 0; i < depth; ++i) sample.stack.push_back(word());
    if (sample.count == 0) {
      EXPECT_EQ(sample.stack, (std::vector<std::uintptr_t>{0}));
      break;
    }
    out.push_back(std::move(sample));
  }
  *maps = profile.substr(at);
  return out;
}

// How long the function is, from this binary's own symbols.
std::uintptr_t SizeOfBurn() {
  const auto symbols = testing_kit::RunCommand(
      {"nm", "-S", "--defined-only", std::filesystem::read_symlink("/proc/self/exe").string()});
  SLUICE_CHECK(symbols.ok());
  const std::size_t name = symbols->find(" sluice_profile_test_burn\n");
  SLUICE_CHECK(name != std::string::npos);
  const std::size_t line = symbols->rfind('\n', name) + 1;  // "address size T name"
  const std::size_t size = symbols->find(' ', line) + 1;
  std::uintptr_t value = 0;
  std::from_chars(symbols->data() + size, symbols->data() + name, value, 16);
  return value;
}

class Burner {
 public:
  Burner()
      : thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) sum_ += sluice_profile_test_burn(100'000);
        }) {}

 private:
  std::atomic<std::uint64_t> sum_{0};
  std::jthread thread_;  // last: it uses the sum
};

TEST(Profile, NamesTheFunctionThatBurnsTheCpuAndWhoCalledIt) {
  const Burner burner;
  const auto first = reinterpret_cast<std::uintptr_t>(&sluice_profile_test_burn);
  const std::uintptr_t last = first + SizeOfBurn();
  std::uintptr_t inside = 0;
  std::uintptr_t all = 0;
  std::size_t deepest = 0;
  std::string maps;
  // On a busy machine a second may bring few samples: until there are some, at most ten times.
  for (int i = 0; i < 10 && inside < 5; ++i) {
    const auto profile = TakeCpuProfile(1s, {});
    ASSERT_TRUE(profile.ok()) << profile.status().ToString();
    for (const Sample& sample : Decode(*profile, &maps)) {
      all += sample.count;
      if (sample.stack.front() < first || sample.stack.front() >= last) continue;
      inside += sample.count;
      deepest = std::max(deepest, sample.stack.size());
    }
  }
  EXPECT_GE(inside, 5U);
  EXPECT_GE(inside * 2, all) << "nothing else has work to do";
#ifndef SLUICE_THREAD_SANITIZED  // its handler stands between: the walk ends there
  EXPECT_GT(deepest, 2U) << "the stack leads to whoever called it";
#endif
  EXPECT_THAT(maps, HasSubstr(std::filesystem::read_symlink("/proc/self/exe").string()))
      << "what the reader needs to give addresses names";
}

TEST(Profile, IsBoundedAndTakenOneAtATime) {
  EXPECT_EQ(TakeCpuProfile(0s, {}).status().code(), base::Code::kInvalidArgument);
  EXPECT_EQ(TakeCpuProfile(kMaxProfileLength + 1s, {}).status().code(),
            base::Code::kInvalidArgument);
  std::stop_source stop;
  auto one = std::async(std::launch::async, [&] {
    auto profile = TakeCpuProfile(kMaxProfileLength, stop.get_token());
    while (profile.status().reason() == "Busy") {  // the loop below was faster
      profile = TakeCpuProfile(kMaxProfileLength, stop.get_token());
    }
    return profile;
  });
  std::stop_source none;
  none.request_stop();
  ASSERT_TRUE(
      WaitUntil([&] { return TakeCpuProfile(1s, none.get_token()).status().reason() == "Busy"; }));
  stop.request_stop();
  EXPECT_TRUE(one.get().ok()) << "a stop ends it with what there is";
}

TEST(Profile, ThePageGivesItAndSaysWhatWasAskedWrongly) {
  base::metrics::Registry registry;
  Pages pages({.debug_address = "127.0.0.1:0"}, registry);
  ASSERT_TRUE(pages.Start().ok());
  const auto client =
      http::Client::New({.base_url = "http://127.0.0.1:" + std::to_string(pages.debug_port())})
          .value();
  const auto get = [&](const std::string& query) {
    return client->Do({.target = "/debug/pprof/profile" + query}).value();
  };
  EXPECT_EQ(get("?seconds=61").status, 400);
  EXPECT_EQ(get("?seconds=0").status, 400);
  EXPECT_EQ(get("?seconds=1x").status, 400);
  EXPECT_EQ(client->Do({.method = "POST", .target = "/debug/pprof/profile"})->status, 405);
  const Burner burner;
  const auto profile = get("?seconds=1");
  EXPECT_EQ(profile.status, 200);
  std::string maps;
  EXPECT_FALSE(Decode(profile.body, &maps).empty());
  auto under_way = std::async(std::launch::async, [&] {
    auto answer = get("?seconds=60");
    while (answer.status == 409) answer = get("?seconds=60");  // the loop below was faster
    return answer;
  });
  ASSERT_TRUE(WaitUntil([&] { return get("?seconds=1").status == 409; }));
  pages.Stop();
  EXPECT_EQ(under_way.get().status, 200) << "a stop does not wait for it";
}

}  // namespace
}  // namespace sluice::runtime
