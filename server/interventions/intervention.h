// How one request's attention is changed, as the engine and the model runner see it. They call this interface
// without knowing which interventions exist or what they do. An intervention is a folder next to this file
// and a row in table/table.cc. Immutable and shared by requests; thread-safe.
//
// Methods that change the attention of single rows (VAR, PAI, VAF, SPIN) set parameters of the attention
// operation in SetRow. Contrasts (VCD, ICD, M3ID) are none of these: they are data of the request, a
// sibling's prompt and a rule for the logits (contrast_rule.h).
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "server/base/prompt.h"
#include "server/interventions/attention_row.h"
#include "server/interventions/measurements.h"
#include "server/interventions/mode.h"

namespace varserve::interventions {

// What an intervention found and did in one request. The intervention's creator knows the concrete type.
class Report {
 public:
  virtual ~Report() = default;
};

// One row: a token that attends explicitly.
struct RowPlace {
  const Prompt& prompt;
  int position = 0;
  int prompt_slots = 0;  // slots that hold the prompt's tokens
};

class Intervention {
 public:
  virtual ~Intervention() = default;

  Mode mode() const { return mode_; }  // of VAR; kOff for other interventions
  // Part of the key of every KV block after the prefix: name and setting. Equal keys mean equal K and V.
  const std::string& key() const { return key_; }

  // Whether the intervention can run on a model with this many layers and this many measured values per token
  // and layer. Errors begin with a field of the request.
  virtual absl::Status Check(int num_layers, int token_measures) const = 0;
  // Whether the intervention measures or changes the row of this token, prompt or generated. False for all
  // tokens of the prefix (Prompt::prefix_size).
  virtual bool ActsOn(const Prompt& prompt, int position) const = 0;
  // Sets a row's parameters; leaves the row unchanged if the intervention does not act on it.
  virtual void SetRow(const RowPlace& place, AttentionRow& row) const = 0;
  // Whether a later prompt with the same tokens has the same K, V and evidence in a block that ends before
  // token `end` of the sequence.
  virtual bool MayShare(const Prompt& prompt, int end) const = 0;
  virtual std::unique_ptr<const Report> MakeReport(SequenceEvidence evidence) const = 0;

 protected:
  Intervention(Mode mode, std::string key) : mode_(mode), key_(std::move(key)) {}

 private:
  const Mode mode_;
  const std::string key_;
};

// The mode of VAR in a request; kOff without an intervention.
inline Mode ModeOf(const Intervention* intervention) {
  return intervention == nullptr ? Mode::kOff : intervention->mode();
}

}  // namespace varserve::interventions
