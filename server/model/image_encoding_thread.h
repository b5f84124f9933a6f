// Runs the vision tower on images, one after the other, on its own thread: in parallel with the engine's
// steps, unless a step waits for it. So there is memory for one image. On a GPU the tower has its own stream.
#pragma once

#include <c10/core/Stream.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/step_plan.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

// Engine thread only.
class ImageEncodingThread {
 public:
  // `model` must outlive the object.
  explicit ImageEncodingThread(const VisionLanguageModel& model);
  ImageEncodingThread(const ImageEncodingThread&) = delete;
  ImageEncodingThread& operator=(const ImageEncodingThread&) = delete;
  // Waits for the image that is being encoded.
  ~ImageEncodingThread();

  // Nothing happens if that image was begun and not taken.
  void Begin(const engine::StepPlan::Encoding& encoding);
  // Those that were encoded since the last call, well or not, and not taken.
  std::vector<engine::ImageRef> TakeEncoded();
  // Waits for an image that was begun, and gives it away.
  absl::StatusOr<EncodedImage> Take(const engine::ImageRef& of);
  // Drops a sequence's images.
  void Forget(engine::SequenceId sequence);

 private:
  struct Job {
    engine::ImageRef of;
    std::shared_ptr<const ProcessedImage> image;
    std::optional<absl::StatusOr<EncodedImage>> encoded;
  };
  void Run();
  absl::StatusOr<EncodedImage> Encode(const ProcessedImage& image) const;

  const VisionLanguageModel& model_;
  std::optional<c10::Stream> stream_;  // not set on the CPU
  absl::Mutex mu_;
  std::map<engine::ImageRef, std::shared_ptr<Job>> jobs_ ABSL_GUARDED_BY(mu_);
  std::deque<std::shared_ptr<Job>> queue_ ABSL_GUARDED_BY(mu_);
  std::vector<engine::ImageRef> encoded_ ABSL_GUARDED_BY(mu_);  // not reported yet
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // from the first image on
};

}  // namespace varserve::model
