// Any bytes sent as a picture give a whole picture within a small memory, or a refusal.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "server/base/byte_budget.h"
#include "server/base/image_layout.h"
#include "server/image/clip_image_processor.h"
#include "server/image/image_decoder.h"

namespace {

using varserve::ByteBudget;
using varserve::image::ClipImageProcessor;
using varserve::image::ClipImageProcessorConfig;
using varserve::image::RowSink;

void Check(bool condition) {
  if (!condition) std::abort();
}

const ClipImageProcessor& Processor() {
  static const ClipImageProcessor processor(
      *ClipImageProcessorConfig::Parse(
          {{"image_processor_type", "LlavaImageProcessor"}, {"size", 8}, {"crop_size", 8}}),
      std::make_shared<const varserve::ImageLayout>(/*tokens=*/1, /*placeholder=*/0, /*grid_rows=*/1,
                                                    /*grid_cols=*/1));
  return processor;
}

// Counts the rows on their way.
class Counter final : public RowSink {
 public:
  explicit Counter(RowSink& rows) : rows_(rows) {}
  void AddRow(const uint8_t* rgb) override {
    rows_.AddRow(rgb);
    ++count_;
  }
  int count() const { return count_; }

 private:
  RowSink& rows_;
  int count_ = 0;
};

void CheckRefusal(const absl::Status& status) {
  Check(absl::IsInvalidArgument(status) && absl::StartsWith(status.message(), "image"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto info = varserve::image::ReadImageInfo(bytes, {.max_bytes = 1 << 20, .max_pixels = 1 << 16});
  if (!info.ok()) return CheckRefusal(info.status()), 0;
  const auto plan = Processor().MakePlan(info->width, info->height, info->orientation);
  if (!plan.ok()) return CheckRefusal(plan.status()), 0;

  // What decoding allocates beyond this, libFuzzer's -malloc_limit_mb finds.
  ByteBudget memory(32 << 20);
  const auto lease = memory.Acquire(info->decode_bytes + plan->bytes, varserve::NeverStop);
  if (!lease.ok()) return Check(absl::IsInvalidArgument(lease.status())), 0;
  const auto processed = Processor().Process(*plan, [&](RowSink& rows) {
    Counter counter(rows);
    const absl::Status status = varserve::image::DecodeImage(bytes, counter, varserve::NeverStop);
    Check(!status.ok() || counter.count() == info->height);
    return status;
  });
  if (!processed.ok()) return CheckRefusal(processed.status()), 0;
  Check(processed->rgb.size() == 3 * 8 * 8);
  return 0;
}
