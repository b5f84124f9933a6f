#include "tests/e2e/log_pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <utility>

namespace varserve::testing {

LogPipe::LogPipe(const std::string& path) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  read_end_ = ends[0];
  write_end_ = ends[1];
  EXPECT_EQ(fcntl(write_end_, F_SETPIPE_SZ, 4096), 4096);
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  EXPECT_GE(file, 0);
  thread_ = std::thread([this, file] { Run(file); });
}

LogPipe::~LogPipe() {
  CloseWriteEnd();
  GoOnReading();
  thread_.join();
  CloseReadEnd();
}

void LogPipe::CloseWriteEnd() {
  if (write_end_ >= 0) close(std::exchange(write_end_, -1));
}

void LogPipe::CloseReadEnd() {
  absl::MutexLock lock(&mu_);
  if (read_end_ >= 0) close(std::exchange(read_end_, -1));
}

void LogPipe::SetReading(bool reading) {
  absl::MutexLock lock(&mu_);
  reading_ = reading;
}

void LogPipe::Run(int file) {
  while (true) {
    char buffer[4096];
    ssize_t size = 0;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&reading_));
      if (read_end_ < 0) break;
      pollfd readable{.fd = read_end_, .events = POLLIN, .revents = 0};
      if (poll(&readable, 1, 10) == 0) continue;
      size = read(read_end_, buffer, sizeof(buffer));
    }
    if (size <= 0) break;
    EXPECT_EQ(write(file, buffer, static_cast<size_t>(size)), size);
  }
  close(file);
}

}  // namespace varserve::testing
