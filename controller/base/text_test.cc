#include "controller/base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::base {
namespace {

TEST(Text, IsCutAtTheEdgeOfACharacter) {
  EXPECT_EQ(Cut("abc", 3), "abc");
  EXPECT_EQ(Cut("abcd", 3), "abc");
  EXPECT_EQ(Cut("ab\u20ac", 4), "ab");
  EXPECT_EQ(Cut("ab\u20ac", 5), "ab\u20ac");
  EXPECT_EQ(Cut("\u20ac", 0), "");
}

TEST(Text, KeepsEveryValidCharacter) {
  const std::string valid = "a\u00e9\u20ac\U0001F512\u07ff\u0800\uffff\U00010000\U0010ffff";
  EXPECT_EQ(ValidUtf8(valid), valid);
  EXPECT_EQ(ValidUtf8(std::string("a\0b", 3)), std::string("a\0b", 3));
}

TEST(Text, ReplacesWhatIsNotACharacter) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(ValidUtf8("a\xFFz"), "a" + mark + "z");
  EXPECT_EQ(ValidUtf8("cut\xE2\x82"), "cut" + mark + mark);
  EXPECT_EQ(ValidUtf8("\xC0\xAF"), mark + mark) << "an overlong slash";
  EXPECT_EQ(ValidUtf8("\xED\xA0\x80"), mark + mark + mark) << "a surrogate";
  EXPECT_EQ(ValidUtf8("\xF4\x90\x80\x80"), mark + mark + mark + mark) << "beyond U+10FFFF";
}

}  // namespace
}  // namespace sluice::base
