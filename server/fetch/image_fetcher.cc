#include "server/fetch/image_fetcher.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/status_macros.h"
#include "server/fetch/public_address.h"

namespace varserve::fetch {
namespace {

constexpr int kMostRedirects = 5;
constexpr size_t kLongestUrl = 8192;

absl::Status Refused(absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(problem, "; or send the picture itself"));
}

// One request, as curl's callbacks see it.
struct Transfer {
  bool private_addresses;
  int64_t max_bytes;
  Stop stop;
  std::string body;
  bool too_large = false;
  bool refused_address = false;
  absl::Status stopped;
};

size_t OnBody(char* data, size_t /*one*/, size_t bytes, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  transfer.too_large = transfer.body.size() + bytes > static_cast<uint64_t>(transfer.max_bytes);
  if (transfer.too_large) return CURL_WRITEFUNC_ERROR;
  transfer.body.append(data, bytes);
  return bytes;
}

// Sees the address that is connected to, whatever a name resolved to before.
curl_socket_t OnSocket(void* user, curlsocktype /*purpose*/, curl_sockaddr* address) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (!transfer.private_addresses && !IsPublic(address->addr)) {
    transfer.refused_address = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  transfer.stopped = transfer.stop();
  return transfer.stopped.ok() ? 0 : 1;
}

struct CurlDelete {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(char* text) const { curl_free(text); }
};
using CurlHandle = std::unique_ptr<CURL, CurlDelete>;

CurlHandle MakeHandle(const std::string& url, absl::Duration time, Transfer& transfer) {
  CurlHandle handle(curl_easy_init());
  CURL* curl = handle.get();
  if (curl == nullptr) return nullptr;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "varserve");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(time)) + 1);
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(transfer.max_bytes));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, OnSocket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  return handle;
}

absl::Status WhyFailed(CURLcode code, const Transfer& transfer) {
  if (!transfer.stopped.ok()) return transfer.stopped;
  if (transfer.too_large || code == CURLE_FILESIZE_EXCEEDED)
    return absl::InvalidArgumentError(
        absl::StrCat("its picture has more than ", transfer.max_bytes, " bytes; send it smaller"));
  if (transfer.refused_address)
    return Refused("its host has an address that is not public (--image_url_private_addresses)");
  if (code == CURLE_OPERATION_TIMEDOUT) return Refused("its host took too long (--image_url_timeout)");
  return Refused(absl::StrCat("cannot be fetched: ", curl_easy_strerror(code)));
}

}  // namespace

ImageFetcher::ImageFetcher(FetchOptions options) : options_(std::move(options)) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

absl::Status ImageFetcher::Check(const std::string& url) const {
  if (!enabled()) return Refused("this server fetches no pictures from other servers (--image_url_hosts)");
  if (url.size() > kLongestUrl) return Refused(absl::StrCat("has more than ", kLongestUrl, " characters"));
  const std::unique_ptr<CURLU, CurlDelete> parsed(curl_url());
  char* part = nullptr;
  if (parsed == nullptr || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK)
    return Refused("is not a valid URL");
  if (curl_url_get(parsed.get(), CURLUPART_USER, &part, 0) == CURLUE_OK) {
    curl_free(part);
    return Refused("must not have a user's name");
  }
  if (curl_url_get(parsed.get(), CURLUPART_HOST, &part, 0) != CURLUE_OK) return Refused("has no host");
  const std::unique_ptr<char, CurlDelete> host(part);
  if (!options_.hosts.Allows(host.get()))
    return Refused(absl::StrCat("this server fetches no pictures from ", host.get(), " (--image_url_hosts)"));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ImageFetcher::Fetch(const std::string& url, int64_t max_bytes, Stop stop) const {
  const MonotonicClock clock;
  const absl::Time deadline = clock.Now() + options_.timeout;
  std::string at = url;
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    absl::Status allowed = Check(at);
    if (!allowed.ok() && redirects > 0)
      return absl::InvalidArgumentError(absl::StrCat("it was redirected; there, ", allowed.message()));
    RETURN_IF_ERROR(allowed);
    Transfer transfer{.private_addresses = options_.private_addresses, .max_bytes = max_bytes, .stop = stop};
    const absl::Duration left = std::max(deadline - clock.Now(), absl::ZeroDuration());
    const CurlHandle handle = MakeHandle(at, left, transfer);
    if (handle == nullptr) return absl::InternalError("libcurl cannot be used");
    if (const CURLcode code = curl_easy_perform(handle.get()); code != CURLE_OK)
      return WhyFailed(code, transfer);
    const char* next = nullptr;
    curl_easy_getinfo(handle.get(), CURLINFO_REDIRECT_URL, &next);
    if (next != nullptr) {
      at = next;
      continue;
    }
    long status = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) return Refused(absl::StrCat("its host answered with status ", status));
    if (transfer.body.empty()) return Refused("its host sent no bytes");
    return std::move(transfer.body);
  }
  return Refused(absl::StrCat("was redirected more than ", kMostRedirects, " times"));
}

}  // namespace varserve::fetch
