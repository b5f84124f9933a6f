// An OutputSink that records its calls, and fails the test if their order is wrong. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "server/engine/request.h"
#include "server/interventions/var/report.h"

namespace varserve::testing {

class RecordingSink final : public engine::OutputSink {
 public:
  struct Record {
    std::optional<engine::StartedInfo> started;
    std::vector<int32_t> tokens;
    std::optional<engine::FinishReason> finish;
    std::shared_ptr<const interventions::VarReport> report;
    std::optional<absl::Status> failed;
    bool ended() const { return finish.has_value() || failed.has_value(); }
  };

  // The verdict on a token, by the number of tokens so far, this one included; kContinue if not set.
  using Judge = std::function<engine::SinkVerdict(int num_tokens)>;
  explicit RecordingSink(Judge judge = nullptr) : judge_(std::move(judge)) {}

  void OnStarted(const engine::StartedInfo& info) override {
    absl::MutexLock lock(&mu_);
    EXPECT_FALSE(record_.started.has_value() || record_.ended());
    record_.started = info;
    changed_.SignalAll();
  }
  engine::SinkVerdict OnToken(const engine::Token& token) override {
    int num_tokens = 0;
    {
      absl::MutexLock lock(&mu_);
      EXPECT_TRUE(record_.started.has_value() && !record_.ended());
      record_.tokens.push_back(token.id);
      num_tokens = static_cast<int>(record_.tokens.size());
      changed_.SignalAll();
    }
    return judge_ ? judge_(num_tokens) : engine::SinkVerdict::kContinue;
  }
  void OnFinished(engine::FinishReason reason, std::unique_ptr<const interventions::Report> report) override {
    absl::MutexLock lock(&mu_);
    EXPECT_TRUE(record_.started.has_value() && !record_.ended());
    record_.finish = reason;
    record_.report =
        std::dynamic_pointer_cast<const interventions::VarReport>(std::shared_ptr(std::move(report)));
    changed_.SignalAll();
  }
  void OnFailed(const absl::Status& status) override {
    absl::MutexLock lock(&mu_);
    EXPECT_FALSE(record_.ended());
    EXPECT_FALSE(status.ok());
    record_.failed = status;
    changed_.SignalAll();
  }

  Record record() const {
    absl::MutexLock lock(&mu_);
    return record_;
  }
  Record WaitUntilEnded() const {
    absl::MutexLock lock(&mu_);
    while (!record_.ended()) changed_.Wait(&mu_);
    return record_;
  }
  void WaitForTokens(size_t count) const {
    absl::MutexLock lock(&mu_);
    while (record_.tokens.size() < count && !record_.ended()) changed_.Wait(&mu_);
  }

 private:
  const Judge judge_;
  mutable absl::Mutex mu_;
  mutable absl::CondVar changed_;
  Record record_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::testing
