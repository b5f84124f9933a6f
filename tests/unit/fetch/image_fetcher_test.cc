#include "server/fetch/image_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace varserve::fetch {
namespace {

using testing::HasSubstr;

ImageFetcher Fetcher(absl::string_view hosts) { return ImageFetcher({.hosts = *HostList::Parse(hosts)}); }

std::string WhyRefused(const ImageFetcher& fetcher, const std::string& url) {
  const absl::Status status = fetcher.Check(url);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << url << ": " << status;
  return std::string(status.message());
}

TEST(ImageFetcherTest, AnAllowedHostPasses) {
  const ImageFetcher fetcher = Fetcher("example.com,[::1]");
  EXPECT_TRUE(fetcher.Check("https://example.com/a.png?b=c#d").ok());
  EXPECT_TRUE(fetcher.Check("HTTP://EXAMPLE.com:8080").ok());
  EXPECT_TRUE(fetcher.Check("http://[::1]:80/").ok());
}

TEST(ImageFetcherTest, OtherUrlsAreRefused) {
  const ImageFetcher fetcher = Fetcher("example.com");
  EXPECT_THAT(WhyRefused(fetcher, "http://other.com/"),
              HasSubstr("fetches no pictures from other.com (--image_url_hosts)"));
  EXPECT_THAT(WhyRefused(fetcher, "http://example.com@other.com/"), HasSubstr("user's name"));
  EXPECT_THAT(WhyRefused(fetcher, "http://other.com\\@example.com/"), HasSubstr(""));
  EXPECT_THAT(WhyRefused(fetcher, "http://"), HasSubstr("not a valid URL"));
  EXPECT_THAT(WhyRefused(fetcher, "http://example.com/" + std::string(9000, 'a')),
              HasSubstr("8192 characters"));
}

TEST(ImageFetcherTest, WithoutHostsNothingIsFetched) {
  const ImageFetcher fetcher = Fetcher("");
  EXPECT_FALSE(fetcher.enabled());
  EXPECT_THAT(WhyRefused(fetcher, "http://example.com/"),
              HasSubstr("no pictures from other servers (--image_url_hosts)"));
  EXPECT_TRUE(absl::IsInvalidArgument(fetcher.Fetch("http://example.com/", 100, NeverStop).status()));
}

TEST(ImageFetcherTest, NothingIsConnectedToAPrivateAddress) {
  for (const char* host : {"127.0.0.1", "[::1]", "localhost", "0x7f.1", "2130706433", "0"}) {
    const absl::Status status =
        Fetcher("*").Fetch(std::string("http://") + host + ":9/", 100, NeverStop).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr("an address that is not public")) << host;
  }
}

TEST(ImageFetcherTest, OtherSchemesAreNotFetched) {
  for (const char* url : {"file:///etc/passwd", "ftp://example.com/", "gopher://example.com/"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Fetcher("*").Fetch(url, 100, NeverStop).status())) << url;
  }
}

}  // namespace
}  // namespace varserve::fetch
