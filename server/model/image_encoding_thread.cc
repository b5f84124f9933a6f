#include "server/model/image_encoding_thread.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "server/model/torch_errors.h"

namespace varserve::model {

using engine::ImageRef;

ImageEncodingThread::ImageEncodingThread(const VisionLanguageModel& model) : model_(model) {
  if (const at::Device device = model.device(); !device.is_cpu())
    stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

ImageEncodingThread::~ImageEncodingThread() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void ImageEncodingThread::Begin(const engine::StepPlan::Encoding& encoding) {
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  const absl::MutexLock lock(&mu_);
  const auto [job, is_new] = jobs_.try_emplace(encoding.of);
  if (!is_new) return;
  job->second = std::make_shared<Job>(Job{.of = encoding.of, .image = encoding.image, .encoded = {}});
  queue_.push_back(job->second);
}

std::vector<ImageRef> ImageEncodingThread::TakeEncoded() {
  const absl::MutexLock lock(&mu_);
  return std::exchange(encoded_, {});
}

absl::StatusOr<EncodedImage> ImageEncodingThread::Take(const ImageRef& of) {
  const absl::MutexLock lock(&mu_);
  const std::shared_ptr<Job> job = jobs_.at(of);
  mu_.Await(absl::Condition(
      +[](Job* j) { return j->encoded.has_value(); }, job.get()));
  absl::StatusOr<EncodedImage> encoded = *std::move(job->encoded);
  jobs_.erase(of);
  std::erase(encoded_, of);
  return encoded;
}

void ImageEncodingThread::Forget(engine::SequenceId sequence) {
  const absl::MutexLock lock(&mu_);
  const auto is_its = [sequence](const ImageRef& image) { return image.sequence == sequence; };
  std::erase_if(jobs_, [&](const auto& job) { return is_its(job.first); });
  std::erase_if(queue_, [&](const auto& job) { return is_its(job->of); });
  std::erase_if(encoded_, is_its);
}

void ImageEncodingThread::Run() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); };
  while (true) {
    std::shared_ptr<Job> job;
    {
      const absl::MutexLock lock(&mu_, absl::Condition(&has_work));
      if (stopping_) return;
      job = queue_.front();
      queue_.pop_front();
    }
    absl::StatusOr<EncodedImage> encoded = Encode(*job->image);
    const absl::MutexLock lock(&mu_);
    job->encoded = std::move(encoded);
    const auto current = jobs_.find(job->of);
    if (current != jobs_.end() && current->second == job)
      encoded_.push_back(job->of);  // else it was forgotten
  }
}

absl::StatusOr<EncodedImage> ImageEncodingThread::Encode(const ProcessedImage& image) const {
  EncodedImage encoded;
  const absl::Status status = CatchTorchErrors([&] {
    const c10::OptionalStreamGuard guard(stream_);
    encoded = model_.EncodeImage(image);
    if (stream_.has_value()) stream_->synchronize();  // the steps have another stream
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return encoded;
}

}  // namespace varserve::model
