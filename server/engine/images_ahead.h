// Images that the runner encodes in parallel with steps, so that decoding sequences do not wait for the
// vision tower. Chunks that need them wait until they are ready. Engine thread only.
#pragma once

#include <map>

#include "absl/types/span.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

class ImagesAhead {
 public:
  // Images that are begun or ready and whose chunk was not planned: their features take memory. Those of one
  // chunk may be more.
  static constexpr size_t kMost = 2;

  bool IsReady(const ImageRef& image) const;
  bool HasAnyOf(SequenceId sequence) const;
  // Adds the images of one chunk, none of them ready, to plan.encode_ahead, unless they are begun or too many
  // others are.
  void Begin(absl::Span<const StepPlan::Encoding> images, StepPlan& plan);
  void OnEncoded(const ImageRef& image);
  // The step's images are no longer ahead.
  void OnPlanned(const SequenceStep& step);
  void Forget(SequenceId sequence);

 private:
  std::map<ImageRef, bool> images_;  // whether it is ready
};

}  // namespace varserve::engine
