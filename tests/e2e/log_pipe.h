// A pipe with little room between a process's standard error and a file, whose reader can stop reading.
// Thread-compatible.
#pragma once

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace varserve::testing {

class LogPipe {
 public:
  explicit LogPipe(const std::string& path);  // of the file
  ~LogPipe();                                 // waits for the writers' end

  int write_end() const { return write_end_; }
  // To be called once the process has its own.
  void CloseWriteEnd();

  void StopReading() { SetReading(false); }
  void GoOnReading() { SetReading(true); }
  // As if the process that reads had ended.
  void CloseReadEnd() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void SetReading(bool reading) ABSL_LOCKS_EXCLUDED(mu_);
  void Run(int file) ABSL_LOCKS_EXCLUDED(mu_);

  int write_end_ = -1;
  absl::Mutex mu_;
  int read_end_ ABSL_GUARDED_BY(mu_) = -1;
  bool reading_ ABSL_GUARDED_BY(mu_) = true;
  std::thread thread_;
};

}  // namespace varserve::testing
