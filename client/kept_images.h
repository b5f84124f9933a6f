// The images that a server said it keeps for this caller, by the hex SHA-256 of their files: requests can
// name them instead of sending them again. Thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"

namespace varserve::client {

class KeptImages {
 public:
  void Add(const std::vector<std::string>& digests) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const std::vector<std::string>& digests) ABSL_LOCKS_EXCLUDED(mu_);
  // Those of `digests` that were added, and are not removed since.
  std::vector<std::string> Among(const std::vector<std::string>& digests) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable absl::Mutex mu_;
  absl::flat_hash_set<std::string> digests_ ABSL_GUARDED_BY(mu_);
  std::deque<std::string> order_ ABSL_GUARDED_BY(mu_);  // the oldest first; may have removed ones
};

// The digests of the images whose data a request has, in order.
std::vector<std::string> DigestsOf(const google::protobuf::Message& request);
// Replaces the data of these images by their digests.
void NameImages(const std::vector<std::string>& digests, google::protobuf::Message& request);

}  // namespace varserve::client
