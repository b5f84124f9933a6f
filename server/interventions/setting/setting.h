// The intervention of one request as a transport sees it: the effective options, and how replies and log
// lines report it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "server/base/prompt.h"
#include "server/interventions/intervention.h"
#include "server/telemetry/logging.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::interventions {

struct ReportContext {
  const Prompt& prompt;
  const std::vector<int32_t>& generated;  // token ids
  absl::FunctionRef<std::string(int32_t)> token_text;
  int64_t max_map_bytes = 0;
  size_t max_bytes = 0;  // for everything else
};

// Immutable, thread-safe. Reports passed in must come from its intervention.
class Setting {
 public:
  virtual ~Setting() = default;

  Mode mode() const { return ModeOf(intervention_.get()); }                                  // of VAR
  const std::shared_ptr<const Intervention>& intervention() const { return intervention_; }  // null: off
  const std::vector<int>& map_layers() const { return map_layers_; }  // see engine::GenerationRequest

  // Describes the setting with every value: as the model's default, and as a request's setting.
  virtual void Describe(v1::Model& model) const = 0;
  virtual void Describe(v1::Started& started) const = 0;
  virtual void Convert(const Report& report, const ReportContext& context, v1::Finished& finished) const = 0;
  virtual telemetry::LogFields LogFieldsOf(const Report& report) const = 0;

 protected:
  Setting(std::shared_ptr<const Intervention> intervention, std::vector<int> map_layers)
      : intervention_(std::move(intervention)), map_layers_(std::move(map_layers)) {}

 private:
  const std::shared_ptr<const Intervention> intervention_;
  const std::vector<int> map_layers_;
};

}  // namespace varserve::interventions
