#include "controller/workqueue/entry_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "controller/workqueue/limits.h"

namespace sluice::workqueue {
namespace {

meta::Key Named(int number) {
  return {"a namespace", "a name too long to stand in a string " + std::to_string(number)};
}

TEST(EntryTable, AKeyOfAnotherNamespaceIsAnother) {
  EntryTable table;
  Entry* const a = table.FindOrMake({"x", "n"}, 10);
  Entry* const b = table.FindOrMake({"y", "n"}, 10);
  EXPECT_NE(a, b);
  EXPECT_EQ(table.FindOrMake({"x", "n"}, 10), a);
  EXPECT_EQ(table.Find({"y", "n"}), b);
  EXPECT_EQ(table.Find({"n", "y"}), nullptr);
}

TEST(EntryTable, AnEntryMadeFromASpareOneRemembersNothing) {
  EntryTable table;
  Entry* const first = table.FindOrMake(Named(1), 10);
  first->failures = 7;
  first->again = true;
  table.Erase(*first);
  EXPECT_EQ(table.Find(Named(1)), nullptr);
  Entry* const second = table.FindOrMake(Named(2), 10);
  EXPECT_EQ(second, first) << "its memory is used again";
  EXPECT_EQ(second->key, Named(2));
  EXPECT_EQ(second->failures, 0);
  EXPECT_FALSE(second->again || second->running || second->due.has_value());
  EXPECT_EQ(second->list, nullptr);
}

TEST(EntryTable, KeepsAsManySpareEntriesAsItMay) {
  EntryTable table;
  const int many = static_cast<int>(kSpareEntries) * 3;
  for (int i = 0; i < many; ++i) table.FindOrMake(Named(i), kMaxKeys);
  for (int i = 0; i < many; ++i) table.Erase(*table.Find(Named(i)));
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.spares(), kSpareEntries);
}

TEST(EntryTable, AFullTableGivesWhatItHasAndMakesNoMore) {
  EntryTable table;
  Entry* const known = table.FindOrMake(Named(1), 1);
  EXPECT_EQ(table.FindOrMake(Named(2), 1), nullptr);
  EXPECT_EQ(table.FindOrMake(Named(1), 1), known);
}

TEST(EntryTable, AgreesWithAMapAndEntriesStayWhereTheyAre) {
  const auto seed = std::random_device{}();
  RecordProperty("seed", static_cast<int>(seed));
  std::minstd_rand random(seed);
  EntryTable table;
  std::map<int, Entry*> wanted;
  for (int i = 0; i < 20'000; ++i) {
    const int number = static_cast<int>(random() % 600);
    const auto known = wanted.find(number);
    ASSERT_EQ(table.Find(Named(number)), known == wanted.end() ? nullptr : known->second);
    if (known == wanted.end()) {
      wanted[number] = table.FindOrMake(Named(number), kMaxKeys);
    } else if (random() % 2 == 0) {
      table.Erase(*known->second);
      wanted.erase(known);
    }
    ASSERT_EQ(table.size(), wanted.size());
  }
  for (const auto& [number, entry] : wanted) EXPECT_EQ(entry->key, Named(number));
}

}  // namespace
}  // namespace sluice::workqueue
