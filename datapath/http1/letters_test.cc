#include <gtest/gtest.h>

#include <string>

#include "datapath/http1/headers.h"

namespace sluice::http1 {
namespace {

bool ByTheByte(const std::string& a, const std::string& b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

// Words are compared eight bytes at a time; every pair of bytes, at every place and length.
TEST(EqualsIgnoreCase, AgreesWithComparingByTheByte) {
  for (std::size_t size = 1; size <= 17; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string a(size, 'k');
      std::string b(size, 'K');
      for (int x = 0; x < 256; ++x) {
        a[at] = static_cast<char>(x);
        for (const int y :
             {x, x ^ 0x20, x ^ 0x80, x ^ 0x40, (x + 1) & 255, 0x61, 0x5a, 0x40, 0x7b}) {
          b[at] = static_cast<char>(y);
          ASSERT_EQ(EqualsIgnoreCase(a, b), ByTheByte(a, b))
              << size << " " << at << " " << x << " " << y;
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice::http1
