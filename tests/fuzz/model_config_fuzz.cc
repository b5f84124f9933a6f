// Any configuration of a model directory is read, with every number in its range, or refused with a message
// that names the file.
//
// Input: config.json, generation_config.json and preprocessor_config.json, separated by zero bytes; the last
// two may be absent.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/base/model_files.h"
#include "server/image/clip_image_processor_config.h"
#include "server/image/got_ocr2_image_processor.h"
#include "server/image/idefics3_image_processor.h"
#include "server/image/llava_next_image_processor.h"
#include "server/image/qwen2_vl_image_processor.h"
#include "server/model/model_config.h"

namespace {

using varserve::ParseJsonObject;
using varserve::image::ClipImageProcessorConfig;
using varserve::image::GotOcr2ImageProcessor;
using varserve::image::GotOcr2ImageProcessorConfig;
using varserve::image::Idefics3ImageProcessor;
using varserve::image::Idefics3ImageProcessorConfig;
using varserve::image::LlavaNextImageProcessor;
using varserve::image::LlavaNextImageProcessorConfig;
using varserve::image::Qwen2VlImageProcessor;
using varserve::image::Qwen2VlImageProcessorConfig;
using varserve::model::DecoderConfig;
using varserve::model::ModelConfig;
using varserve::model::VisionConfig;

constexpr int kMost = 1 << 24;

void Check(bool condition) {
  if (!condition) std::abort();
}

void CheckRefusal(const absl::Status& status) {
  Check(absl::IsFailedPrecondition(status));
  Check(absl::StrContains(status.message(), "config.json: "));
}

void CheckSizes(std::initializer_list<int> sizes) {
  for (const int size : sizes) Check(size >= 1 && size <= kMost);
}

void CheckConfig(const ModelConfig& c) {
  const DecoderConfig& d = c.decoder;
  const VisionConfig& v = c.vision;
  CheckSizes({d.hidden_size, d.intermediate_size, d.num_hidden_layers, d.num_attention_heads,
              d.num_key_value_heads, d.head_dim, d.vocab_size, d.max_position_embeddings});
  CheckSizes({v.hidden_size, v.num_hidden_layers, v.num_attention_heads, v.patch_size});
  Check(v.intermediate_size >= 1);
  Check(d.rope.theta >= 1.0 && d.rope.factor > 0.0);
  if (v.temporal_patch_size > 0) {  // Qwen's
    CheckSizes({v.temporal_patch_size, v.merge_size});
    Check(v.hidden_size / v.num_attention_heads % 4 == 0);
    Check(v.window_size == 0 || v.window_size >= v.patch_size * v.merge_size);
    const std::vector<int>& section = d.rope.mrope_section;
    Check(std::accumulate(section.begin(), section.end(), 0) == d.head_dim / 2);
    Check(v.deepstack_layers.size() < static_cast<size_t>(d.num_hidden_layers));
    Check(std::is_sorted(v.deepstack_layers.begin(), v.deepstack_layers.end()));
    for (const int layer : v.deepstack_layers) Check(layer >= 0 && layer < v.num_hidden_layers);
    Check((v.kind == VisionConfig::Kind::kQwen3Vl) == (v.position_side > 0));
  } else {
    CheckSizes({v.image_size, v.merge_size});
    Check(!c.vision_feature_layers.empty());
  }
  for (const int layer : c.vision_feature_layers) Check(layer >= 0 && layer <= v.num_hidden_layers);
  Check(c.image_token_id >= 0 && c.image_token_id < d.vocab_size);
  Check(!c.eos_token_ids.empty());
  for (const int32_t id : c.eos_token_ids) Check(id >= 0 && id < d.vocab_size);
}

// A token for each character, but for the placeholder, which is token 0, and the token around images.
absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text) {
  const std::string characters = absl::StrReplaceAll(
      text, {{"<image>", absl::string_view("\0", 1)}, {"<fake_token_around_image>", "F"}});
  return std::vector<int32_t>(characters.begin(), characters.end());
}

void CheckIdefics3(const nlohmann::json& file) {
  const auto config = Idefics3ImageProcessorConfig::Parse(file);
  if (!config.ok()) {
    CheckRefusal(config.status());
    return;
  }
  const auto processor = Idefics3ImageProcessor::Create(
      *config, {.image_token = 0, .side = 3, .vocabulary = 256}, /*max_image_tokens=*/0, Encode);
  Check(processor.ok() && (*processor)->largest().layout->size() >= (*processor)->smallest().layout->size());
  for (const int width : {1, 27, 640, 100'000}) {
    const auto plan = (*processor)->MakePlan(width, 480, /*orientation=*/6);
    Check(plan.ok() && plan->image_bytes > 0 && plan->bytes > plan->image_bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<absl::string_view> texts =
      absl::StrSplit(absl::string_view(reinterpret_cast<const char*>(data), size), '\0');
  constexpr const char* kNames[] = {"config.json", "generation_config.json", "preprocessor_config.json"};
  std::vector<nlohmann::json> files;
  for (size_t i = 0; i < texts.size() && i < std::size(kNames); ++i) {
    absl::StatusOr<nlohmann::json> file = ParseJsonObject(kNames[i], texts[i]);
    if (!file.ok()) {
      CheckRefusal(file.status());
      return 0;
    }
    files.push_back(*std::move(file));
  }
  const auto config = ModelConfig::Parse(files[0], files.size() > 1 ? &files[1] : nullptr);
  if (config.ok()) {
    CheckConfig(*config);
  } else {
    CheckRefusal(config.status());
  }
  if (files.size() < 3) return 0;
  const auto processor = ClipImageProcessorConfig::Parse(files[2]);
  if (processor.ok()) {
    Check(processor->height() >= 1 && processor->width() >= 1);
  } else {
    CheckRefusal(processor.status());
  }
  if (const auto tiles = GotOcr2ImageProcessorConfig::Parse(files[2]); tiles.ok()) {
    const GotOcr2ImageProcessor got_ocr2(*tiles, {.image_token = 0, .rows = 2, .cols = 2});
    for (const int width : {1, 640, 100'000}) {
      const auto plan = got_ocr2.MakePlan(width, 480, /*orientation=*/6);
      Check(plan.ok() && plan->image_bytes > 0 && plan->bytes > plan->image_bytes);
    }
  } else {
    CheckRefusal(tiles.status());
  }
  for (const char* type : {"LlavaNextImageProcessor", "LlavaOnevisionImageProcessor"}) {
    const auto next = LlavaNextImageProcessorConfig::Parse(files[2], type);
    if (!next.ok()) {
      CheckRefusal(next.status());
      continue;
    }
    const auto processor = LlavaNextImageProcessor::Create(
        *next, {.image_token = 0, .side = 3, .most_tiles = next->onevision ? 9 : 0}, /*max_image_tokens=*/0);
    Check(processor.ok() &&
          (*processor)->largest().layout->size() >= (*processor)->smallest().layout->size());
    for (const int num_images : {1, 2}) {
      const auto plan = (*processor)->For(num_images).MakePlan(640, 480, /*orientation=*/6);
      Check(plan.ok() && plan->image_bytes > 0 && plan->bytes > plan->image_bytes);
    }
  }
  CheckIdefics3(files[2]);
  const auto qwen_config = Qwen2VlImageProcessorConfig::Parse(files[2]);
  if (!qwen_config.ok()) {
    CheckRefusal(qwen_config.status());
    return 0;
  }
  const Qwen2VlImageProcessor qwen(*qwen_config, /*image_token=*/0, /*max_tokens=*/0);
  for (const int width : {1, 27, 640, 100'000}) {
    const auto plan = qwen.MakePlan(width, 480, /*orientation=*/1);
    Check(!plan.ok() || (plan->resize.x.count >= 1 && plan->resize.y.count >= 1 && plan->bytes > 0));
  }
  return 0;
}
