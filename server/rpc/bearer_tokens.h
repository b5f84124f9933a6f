// Who may call: a file of bearer tokens, one a line, read again when it changes. Thread-safe.
#pragma once

#include <grpcpp/support/string_ref.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace varserve::rpc {

class BearerTokens {
 public:
  // Empty lines and lines that begin with # do not count. INVALID_ARGUMENT if no token is left.
  static absl::StatusOr<std::unique_ptr<BearerTokens>> Load(const std::string& path);

  using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;
  // UNAUTHENTICATED unless `authorization` is "Bearer " and one of the tokens. Takes the same time whichever
  // it is. Looks at the file at most once a second; while it cannot be read the tokens read last go on.
  absl::Status Check(const Metadata& metadata) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  explicit BearerTokens(std::string path) : path_(std::move(path)) {}
  void Refresh() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string path_;
  mutable absl::Mutex mu_;
  mutable std::vector<std::string> tokens_ ABSL_GUARDED_BY(mu_);
  mutable absl::Time looked_ ABSL_GUARDED_BY(mu_);
  mutable std::string version_ ABSL_GUARDED_BY(mu_);  // of the file: time, size, inode
};

}  // namespace varserve::rpc
