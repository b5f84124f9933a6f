#include "server/fetch/host_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varserve::fetch {
namespace {

using testing::HasSubstr;

HostList List(absl::string_view text) {
  auto list = HostList::Parse(text);
  EXPECT_TRUE(list.ok()) << list.status();
  return *std::move(list);
}

TEST(HostListTest, NamesAndAddressesAreCompared) {
  const HostList list = List(" images.example.com, 203.0.113.9 ,[2001:DB8::1]");
  for (const char* host :
       {"images.example.com", "IMAGES.Example.com", "images.example.com.", "203.0.113.9", "[2001:db8::1]"})
    EXPECT_TRUE(list.Allows(host)) << host;
  for (const char* host : {"example.com", "a.images.example.com", "ximages.example.com", "203.0.113.90", ""})
    EXPECT_FALSE(list.Allows(host)) << host;
}

TEST(HostListTest, AStarIsForNamesBelow) {
  const HostList list = List("*.example.com");
  EXPECT_TRUE(list.Allows("a.example.com"));
  EXPECT_TRUE(list.Allows("a.b.example.com"));
  EXPECT_FALSE(list.Allows("example.com"));
  EXPECT_FALSE(list.Allows("badexample.com"));
}

TEST(HostListTest, AStarAloneIsForAll) {
  EXPECT_TRUE(List("*").Allows("anything"));
  EXPECT_FALSE(List("*").empty());
}

TEST(HostListTest, EmptyAllowsNothing) {
  EXPECT_TRUE(List("").empty());
  EXPECT_TRUE(List(" , ").empty());
  EXPECT_FALSE(List("").Allows(""));
}

TEST(HostListTest, WhatIsNoHostIsRefused) {
  for (const char* text : {"http://example.com", "example.com/a", "example.com:80", "*example.com", "a.*.com",
                           "*.", ".example.com", "[::1", "[]", "*.[::1]", "a b", "ex\u00e4mple.com"}) {
    const auto list = HostList::Parse(text);
    ASSERT_FALSE(list.ok()) << text;
    EXPECT_THAT(std::string(list.status().message()), HasSubstr("is not a host's name")) << text;
  }
}

}  // namespace
}  // namespace varserve::fetch
