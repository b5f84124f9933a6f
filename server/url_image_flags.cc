#include "server/url_image_flags.h"

#include <absl/flags/flag.h>

#include <string>
#include <utility>

#include "server/base/flag_values.h"
#include "server/base/status_macros.h"

ABSL_FLAG(
    std::string, image_url_hosts, "",
    "Hosts from which pictures are fetched when a request over HTTP has http: or https: URLs: names and "
    "addresses separated by commas, *.example.com for all names below it, * for all. Empty: none");
ABSL_FLAG(bool, image_url_private_addresses, false,
          "Also fetch pictures from addresses that are not public, such as those in your own network");
ABSL_FLAG(absl::Duration, image_url_timeout, absl::Seconds(10), "Time to fetch a picture, with redirects");
ABSL_FLAG(std::string, image_url_memory, "64M",
          "Memory for fetched pictures until their requests are prepared; bounds those of one request");

namespace varserve {

absl::Status ReadUrlImageFlags(ServerConfig& c) {
  auto hosts = fetch::HostList::Parse(absl::GetFlag(FLAGS_image_url_hosts));
  if (!hosts.ok()) return InvalidFlag("image_url_hosts", hosts.status().message());
  fetch::FetchOptions& fetch = c.url_images.fetch;
  fetch.hosts = *std::move(hosts);
  fetch.private_addresses = absl::GetFlag(FLAGS_image_url_private_addresses);
  fetch.timeout = absl::GetFlag(FLAGS_image_url_timeout);
  if (fetch.timeout <= absl::ZeroDuration()) return InvalidFlag("image_url_timeout", "is not greater than 0");
  ASSIGN_OR_RETURN(c.url_images.memory, FlagBytes("image_url_memory", absl::GetFlag(FLAGS_image_url_memory)));
  RETURN_IF_ERROR(FlagAtLeast("image_url_memory", c.url_images.memory, 1));
  if (fetch.hosts.empty()) c.url_images.memory = 0;
  return absl::OkStatus();
}

}  // namespace varserve
