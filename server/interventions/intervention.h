// What an intervention changes of one request's attention, as engine and model runner see it. Both only ask:
// they know neither which interventions there are nor what they do. An intervention is a folder beside this
// file and a row of table/table.cc. Immutable and shared by requests; thread-safe.
//
// Methods that change the attention of single rows (VAR; PAI, VAF and SPIN would, too) set parameters of the
// attention operation, SetRow. Contrastive methods (VCD, ICD) need a *sibling row*: a second sequence, of
// another prompt, whose logits are combined with the first's before sampling. Its place is here: a method
// that makes the sibling's prompt from the request's and one that combines two rows of logits. The scheduler
// would plan the sibling's steps beside its sequence's; StepResults of the runner has both rows in hand.
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

// What an intervention found and did in one request. Whoever made the intervention knows the type.
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

  Mode mode() const { return mode_; }  // never kOff
  // Part of the key of every KV block after the prefix: its name and setting. Equal keys, equal K and V.
  const std::string& key() const { return key_; }

  // Whether it can run on a model of so many layers that measures so many values of each token in each layer.
  // Errors begin with a field of the request.
  virtual absl::Status Check(int num_layers, int token_measures) const = 0;
  // Whether it acts on the row of this token, prompt or generated: measures it, or changes it. False for all
  // tokens of the prefix (Prompt::prefix_size).
  virtual bool ActsOn(const Prompt& prompt, int position) const = 0;
  // Sets a row's parameters; those of a row it does not act on stay as they are.
  virtual void SetRow(const RowPlace& place, AttentionRow& row) const = 0;
  // Whether a later prompt with the same tokens finds the same K, V and evidence in a block that ends before
  // token `end` of the sequence.
  virtual bool MayShare(const Prompt& prompt, int end) const = 0;
  virtual std::unique_ptr<const Report> MakeReport(SequenceEvidence evidence) const = 0;

 protected:
  Intervention(Mode mode, std::string key) : mode_(mode), key_(std::move(key)) {}

 private:
  const Mode mode_;
  const std::string key_;
};

// Of a request's intervention; null: none.
inline Mode ModeOf(const Intervention* intervention) {
  return intervention == nullptr ? Mode::kOff : intervention->mode();
}

}  // namespace varserve::interventions
