// One generation of a call: turns the engine's tokens into text and responses, and accounts for the
// generation at its end.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/chat/call.h"
#include "server/engine/request.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "server/interventions/setting/setting.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"
#include "server/text/detokenizer.h"
#include "server/text/stop_matcher.h"
#include "server/text/tokenizer.h"

namespace varserve::chat {

// What all generations of a server share. Outlives them.
struct GenerationServices {
  const text::Tokenizer* tokenizer = nullptr;
  telemetry::Metrics* metrics = nullptr;
  telemetry::Logger* logger = nullptr;
  const Clock* clock = nullptr;  // the engine's
  std::string model_name;
  int64_t max_map_bytes = 0;
};

struct GenerationSpec {
  uint32_t setting = 0;  // index in a Compare
  std::shared_ptr<const Prompt> prompt;
  std::vector<std::string> stop;
  std::shared_ptr<const interventions::Setting> intervention;
  std::shared_ptr<const interventions::ContrastSetting> contrast;  // null: none
  std::shared_ptr<const Prompt> sibling_prompt;                    // null: no sibling
  bool logprobs = false;
  std::optional<absl::Duration> image_time;
  bool images_kept = false;  // the caller can name them from now on
};

// Engine thread only, after construction and until it is finished.
class Generation : public engine::OutputSink, public std::enable_shared_from_this<Generation> {
 public:
  Generation(const GenerationServices& services, std::shared_ptr<Call> call, GenerationSpec spec);

  void OnStarted(const engine::StartedInfo& info) override;
  engine::SinkVerdict OnToken(const engine::Token& token) override;
  void OnFinished(engine::FinishReason reason, std::unique_ptr<const interventions::Report> report) override;
  void OnFailed(const absl::Status& status) override;

 private:
  void AddUnsent(const engine::Token& token);
  // Sends text that may be sent now, with the tokens that waited for it. Tokens stop waiting when they would
  // exceed a message.
  void SendText(std::string text);
  void SendDelta(std::string text);
  void SetFinished(engine::FinishReason reason, const interventions::Report* report, absl::Time now,
                   v1::Finished& finished) const;
  void Account(const absl::Status& status, absl::string_view reason, const interventions::Report* report,
               absl::Time now) const;
  void Describe(v1::Started& started) const;
  int num_visual_tokens() const;

  const GenerationServices& services_;
  const std::shared_ptr<Call> call_;
  const GenerationSpec spec_;
  text::Detokenizer detokenizer_;
  text::StopMatcher stop_;
  absl::Status text_error_;  // of the detokenizer
  std::vector<int32_t> generated_;
  interventions::ContrastReport contrast_report_;
  std::string text_;         // sent so far
  v1::Delta unsent_;         // tokens whose text is not sent yet
  size_t unsent_bytes_ = 0;  // approximately
  engine::StartedInfo started_;
  std::optional<absl::Time> admitted_;
  std::optional<absl::Time> first_token_;
  absl::Time last_token_;
};

// Log line and metrics of a call that ended before any generation was made.
void AccountRefusal(telemetry::Metrics& metrics, telemetry::Logger& logger, const Call& call,
                    interventions::Mode mode, const absl::Status& status, absl::Time now);

}  // namespace varserve::chat
