#include "server/engine/self_test.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace varserve::engine {
namespace {

constexpr int kTokens = 2;  // one in prefill, one in decode

// The same prompt with images that are not cached.
std::shared_ptr<const Prompt> Unknown(const Prompt& prompt, uint64_t number) {
  auto copy = std::make_shared<Prompt>(prompt);
  for (std::shared_ptr<const ProcessedImage>& image : copy->images) {
    auto other = std::make_shared<ProcessedImage>(ProcessedImage{.height = image->height,
                                                                 .width = image->width,
                                                                 .rgb = image->rgb,
                                                                 .normalization = image->normalization,
                                                                 .region = image->region,
                                                                 .layout = image->layout,
                                                                 .digest = image->digest});
    std::memcpy(other->digest.data(), &number, sizeof(number));
    image = std::move(other);
  }
  return copy;
}

}  // namespace

class SelfTest::Answer final : public OutputSink {
 public:
  void OnStarted(const StartedInfo& /*info*/) override {}
  SinkVerdict OnToken(const Token& /*token*/) override { return SinkVerdict::kContinue; }
  void OnFinished(FinishReason /*reason*/, std::unique_ptr<const interventions::Report> /*report*/) override {
    End(absl::OkStatus());
  }
  void OnFailed(const absl::Status& status) override { End(status); }

  std::optional<absl::Status> outcome() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return outcome_;
  }

 private:
  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    outcome_ = status;
  }

  mutable absl::Mutex mu_;
  std::optional<absl::Status> outcome_ ABSL_GUARDED_BY(mu_);
};

SelfTest::SelfTest(Engine* engine, std::shared_ptr<const Prompt> prompt)
    : engine_(engine), prompt_(std::move(prompt)) {}

void SelfTest::Ask() {
  if (answer_ != nullptr) return;
  auto answer = std::make_shared<Answer>();
  GenerationRequest request{.id = "self-test",
                            .prompt = Unknown(*prompt_, ++asked_),
                            .sampling = {.max_tokens = kTokens, .ignore_eos = true}};
  std::vector<Submission> group;
  group.push_back({.request = std::move(request), .sink = answer});
  if (engine_->Submit(std::move(group)).ok()) answer_ = std::move(answer);
}

std::optional<absl::Status> SelfTest::TakeOutcome() {
  if (answer_ == nullptr) return std::nullopt;
  std::optional<absl::Status> outcome = answer_->outcome();
  if (outcome.has_value()) answer_.reset();
  return outcome;
}

}  // namespace varserve::engine
