// Pictures that a request names by URL: fetched from other servers on threads of their own, which do nothing
// but wait, so that a slow host delays only those who ask for its pictures. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/base/byte_budget.h"
#include "server/base/stop.h"
#include "server/chat/chat_request.h"
#include "server/chat/worker_pool.h"
#include "server/fetch/image_fetcher.h"

namespace varserve::chat {

bool HasUrls(const ChatRequest& chat);

class UrlImages {
 public:
  struct Options {
    fetch::FetchOptions fetch;
    int64_t memory = 64 << 20;  // bytes of fetched pictures, until their requests are prepared
  };

  explicit UrlImages(Options options);

  // What can be said of a request's URLs at once. INVALID_ARGUMENT beginning with a picture's name.
  absl::Status Check(const ChatRequest& chat) const;

  // Runs `work`, which calls Fetch, on one of the threads. RESOURCE_EXHAUSTED with a retry delay if too many
  // requests of the caller wait for that, or UNAVAILABLE.
  absl::Status Submit(const std::string& caller, WorkerPool::Work work) ABSL_LOCKS_EXCLUDED(mu_);

  // Puts the pictures in place of their URLs, each at most `max_image_bytes` long, and all of the request's
  // within the memory. The request keeps its part of the memory as long as its source. INVALID_ARGUMENT
  // beginning with a picture's name, or what `stop` returns.
  absl::Status Fetch(int64_t max_image_bytes, Stop stop, ChatRequest& chat);

 private:
  static constexpr int kThreads = 16;
  static constexpr int kMostOfCaller = 64;  // requests, waiting or being fetched

  void OnDone(const std::string& caller) ABSL_LOCKS_EXCLUDED(mu_);

  const fetch::ImageFetcher fetcher_;
  ByteBudget memory_;
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, int> of_caller_ ABSL_GUARDED_BY(mu_);  // requests
  WorkerPool threads_;                                                    // last: they use the others
};

}  // namespace varserve::chat
