// The flags of every command: where the servers are and how to call them. Thread-compatible; must stay where
// it is while the command line is parsed.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/inference_client.h"

namespace varserve::cli {

class ConnectionFlags {
 public:
  // Calls have this timeout unless --timeout says another.
  ConnectionFlags(CLI::App& app, absl::Duration timeout);

  // Reads the files named. INVALID_ARGUMENT naming the flag.
  absl::StatusOr<client::ConnectOptions> connect_options() const;
  client::CallOptions call_options(client::Cancellation* cancellation) const;

 private:
  std::string address_ = "localhost:50051";
  bool use_tls_ = false;
  std::string tls_ca_;
  std::string tls_cert_;
  std::string tls_key_;
  std::string tls_server_name_;
  std::string token_;
  std::string token_file_;
  double timeout_seconds_;
  std::string request_id_;
  int retries_ = 0;
};

}  // namespace varserve::cli
