#include "tests/e2e/server_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/testing/tcp_peer.h"
#include "tests/testing/test_device.h"

namespace varserve::testing {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(20);

// The body of the reply; empty if there is none, as when the server is ending.
std::string Get(int port, const std::string& path) {
  const TcpPeer peer;
  if (!peer.Connect(port) || !peer.Send(absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n"))) return "";
  const std::string reply = peer.ReadToEnd().value_or("");
  const size_t body = reply.find("\r\n\r\n");
  return body == std::string::npos ? "" : reply.substr(body + 4);
}

}  // namespace

ServerProcess::ServerProcess(const std::string& model_dir, const std::vector<std::string>& flags,
                             LogTo log_to) {
  log_path_ = dir_.path() + "/log";
  const int log = open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_to == LogTo::kPipe) log_pipe_ = std::make_unique<LogPipe>(log_path_);
  std::vector<std::string> arguments = {VARSERVE_SERVER,
                                        absl::StrCat("--model=", model_dir),
                                        "--listen=127.0.0.1:0",
                                        "--metrics_listen=127.0.0.1:0",
                                        "--http_listen=127.0.0.1:0",
                                        "--threads=1"};
  if (TestDevice() == "far") {
    arguments.insert(arguments.begin(), {"/usr/bin/env", absl::StrCat("LD_PRELOAD=", VARSERVE_FAR_DEVICE)});
    arguments.emplace_back("--device=far");
  }
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(log_pipe_ == nullptr ? log : log_pipe_->write_end(), STDERR_FILENO);
    dup2(log, STDOUT_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(log);
  if (log_pipe_ != nullptr) log_pipe_->CloseWriteEnd();
}

ServerProcess::~ServerProcess() {
  if (exit_code_ < 0) {
    Signal(SIGKILL);
    WaitForExit();
  }
  if (::testing::Test::HasFailure()) GTEST_LOG_(INFO) << "the server's log:\n" << Log();
}

bool ServerProcess::WaitUntilReady(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (absl::Now() < deadline) {
    if (absl::StrContains(Log(), " ready")) return true;
    if (WaitForExit(kPoll) >= 0) return false;
  }
  return false;
}

int ServerProcess::port() const { return LoggedPort("listening"); }

std::string ServerProcess::address() const { return absl::StrCat("127.0.0.1:", port()); }

std::string ServerProcess::health_address() const { return absl::StrCat("127.0.0.1:", LoggedPort("health")); }

std::string ServerProcess::Log() const {
  std::stringstream text;
  text << std::ifstream(log_path_).rdbuf();
  return text.str();
}

bool ServerProcess::WaitForLog(const std::string& text, absl::Duration timeout) const {
  for (const absl::Time deadline = absl::Now() + timeout; absl::Now() < deadline; absl::SleepFor(kPoll)) {
    if (absl::StrContains(Log(), text)) return true;
  }
  return false;
}

// Of a line like "... listening version=0.1.0 port=4711".
int ServerProcess::LoggedPort(const std::string& message) const {
  for (const absl::string_view line : absl::StrSplit(Log(), '\n')) {
    const size_t at = line.find(absl::StrCat(" ", message, " "));
    const size_t port = line.find(" port=");
    int number = 0;
    if (at != line.npos && port != line.npos && absl::SimpleAtoi(line.substr(port + 6), &number))
      return number;
  }
  return 0;
}

std::string ServerProcess::Metrics() const { return Get(metrics_port(), "/metrics"); }

double ServerProcess::Metric(const std::string& name, const std::string& labels) const {
  double sum = 0;
  for (const absl::string_view line : absl::StrSplit(Metrics(), '\n')) {
    const size_t end = line.find_first_of("{ ");
    if (end == line.npos || line.substr(0, end) != name || !absl::StrContains(line, labels)) continue;
    double value = 0;
    if (absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

std::unique_ptr<client::InferenceClient> ServerProcess::Connect(client::ConnectOptions options) const {
  options.address = address();
  auto client = client::InferenceClient::Connect(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

void ServerProcess::Signal(int signal) const { kill(pid_, signal); }

int ServerProcess::WaitForExit(absl::Duration timeout) {
  for (const absl::Time deadline = absl::Now() + timeout; exit_code_ < 0; absl::SleepFor(kPoll)) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    } else if (absl::Now() >= deadline) {
      break;
    }
  }
  return exit_code_;
}

}  // namespace varserve::testing
