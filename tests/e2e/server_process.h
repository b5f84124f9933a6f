// The real varserve-server as a process of its own, on ports of its own, with a client. Used by one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/inference_client.h"
#include "tests/e2e/log_pipe.h"
#include "tests/testing/temp_dir.h"

namespace varserve::testing {

class ServerProcess {
 public:
  enum class LogTo : uint8_t { kFile, kPipe };
  // Starts it with `--model model_dir` and `flags`; WaitUntilReady says whether that went well.
  ServerProcess(const std::string& model_dir, const std::vector<std::string>& flags = {},
                LogTo log_to = LogTo::kFile);
  // Kills it if it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // False if the process ended or was not ready in time.
  bool WaitUntilReady(absl::Duration timeout = absl::Seconds(60));

  pid_t pid() const { return pid_; }
  // Of gRPC; ready or not, the server listens from its first log line on.
  int port() const;
  std::string address() const;
  std::string health_address() const;  // of --health_listen
  int metrics_port() const { return LoggedPort("metrics"); }
  int http_port() const { return LoggedPort("http"); }
  // Between the server and its log, with LogTo::kPipe.
  LogPipe& log_pipe() { return *log_pipe_; }
  // What it wrote to standard error so far.
  std::string Log() const;
  // Whether `text` appears in the log within `timeout`.
  bool WaitForLog(const std::string& text, absl::Duration timeout = absl::Seconds(30)) const;
  // The page Prometheus reads.
  std::string Metrics() const;
  // Sum of all series of a metric whose labels include `labels` (like `code="OK"`), 0 if there are none.
  double Metric(const std::string& name, const std::string& labels = "") const;

  std::unique_ptr<client::InferenceClient> Connect(client::ConnectOptions options = {}) const;

  void Signal(int signal) const;
  // Its exit code, 128 + signal if one ended it, -1 if it still runs after `timeout`.
  int WaitForExit(absl::Duration timeout = absl::Seconds(60));

 private:
  int LoggedPort(const std::string& message) const;

  TempDir dir_;
  std::string log_path_;  // in dir_
  std::unique_ptr<LogPipe> log_pipe_;
  pid_t pid_ = -1;
  int exit_code_ = -1;
};

}  // namespace varserve::testing
