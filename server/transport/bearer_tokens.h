// Who may call: a file of bearer tokens, reloaded when it changes. Thread-safe.
//
// A line is `NAME TOKEN`, or just `TOKEN`, whose name is then "token-" and the first 8 hex digits of its
// SHA-256. Logs and limits use the name as the caller's; several tokens may have the same name. Empty lines
// and lines that begin with # are ignored.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/base/digest.h"
#include "server/telemetry/logging.h"

namespace varserve::transport {

class BearerTokens {
 public:
  // INVALID_ARGUMENT if the file cannot be read, contains no token, or has an invalid line. The logger must
  // outlive the tokens.
  static absl::StatusOr<std::unique_ptr<BearerTokens>> Load(const std::string& path,
                                                            telemetry::Logger* logger);

  // The caller's name. UNAUTHENTICATED unless `authorization`, the header of that name, is "Bearer " followed
  // by one of the tokens. Takes the same time for every token.
  //
  // Checks the file at most once a second, and logs changes. If the file no longer contains a token, nobody
  // may call. While it cannot be read or has an invalid line, the last valid tokens apply.
  absl::StatusOr<std::string> Check(absl::string_view authorization) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Token {
    std::string name;
    Digest digest;
  };
  // What to log about a check of the file; nothing if `message` is empty.
  struct News {
    std::string message;
    bool is_error = false;
  };

  BearerTokens(std::string path, telemetry::Logger* logger) : path_(std::move(path)), logger_(logger) {}
  static absl::StatusOr<std::vector<Token>> Read(const std::string& path);
  News Refresh() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string path_;
  telemetry::Logger* const logger_;
  mutable absl::Mutex mu_;
  mutable std::vector<Token> tokens_ ABSL_GUARDED_BY(mu_);
  mutable std::chrono::steady_clock::time_point looked_ ABSL_GUARDED_BY(mu_);
  mutable std::string version_ ABSL_GUARDED_BY(mu_);  // of the file; empty: it did not exist
};

}  // namespace varserve::transport
