#include "controller/client/tls_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace sluice::client {
namespace {

using ::testing::ElementsAre;

TEST(TlsOrder, AThreadThatStillHoldsTheVersionBeforeDoesNotBringItBack) {
  TlsOrder order;
  std::vector<int> installed;
  for (const int version : {1, 1, 2, 1, 2, 4, 3}) {
    order.Use(static_cast<std::uint64_t>(version), [&] { installed.push_back(version); });
  }
  EXPECT_THAT(installed, ElementsAre(1, 2, 4));
}

TEST(TlsOrder, WhatIsInstalledLastIsTheLatestWhoeverIsSlow) {
  TlsOrder order;
  std::atomic<bool> begun{false};
  std::vector<int> installed;
  std::jthread slow([&] {
    order.Use(2, [&] {
      begun = true;
      // Long enough for the other to overtake, were it let.
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();
      installed.push_back(2);
    });
  });
  while (!begun) std::this_thread::yield();
  order.Use(3, [&] { installed.push_back(3); });
  slow.join();
  EXPECT_THAT(installed, ElementsAre(2, 3));
}

}  // namespace
}  // namespace sluice::client
