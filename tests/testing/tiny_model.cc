#include "tests/testing/tiny_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <utility>

#include "absl/types/span.h"
#include "server/image/llava_next_image_processor.h"
#include "tests/testing/files.h"
#include "tests/testing/image_span.h"
#include "tests/testing/interpreted_kernels.h"
#include "tests/testing/test_device.h"

namespace varserve::testing {
namespace {

using nlohmann::json;

constexpr int kPlaceholder = 159;

uint64_t Fnv1a64(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3U;
  return hash;
}

uint64_t SplitMix64(uint64_t z) {
  z += 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

// Uniform in [0, 2^64) by name and index.
uint64_t Hash(const std::string& name, uint64_t i) { return SplitMix64(Fnv1a64(name) + i); }

// offset + scale * (2 u - 1), u uniform in [0, 1).
float HashValue(const std::string& name, uint64_t i, float scale, float offset) {
  const float u = static_cast<float>(Hash(name, i) >> 40) * 0x1p-24F;
  return offset + scale * (2.0F * u - 1.0F);
}

// -2 to 2, in steps of 1/64.
std::shared_ptr<const Normalization> PictureNormalization() {
  auto normalization = std::make_shared<Normalization>();
  for (auto& channel : *normalization) {
    for (int value = 0; value < 256; ++value) channel[value] = static_cast<float>(value) / 64.0F - 2.0F;
  }
  return normalization;
}

int64_t Elements(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// The text around the tiles of an image.
TileText TextBetween(absl::Span<const int32_t> ids) {
  TileText text;
  int32_t before = 0;  // no placeholder
  for (const int32_t id : ids) {
    if (id == kPlaceholder && before != kPlaceholder) text.before.push_back(std::exchange(text.after, {}));
    if (id != kPlaceholder) text.after.push_back(id);
    before = id;
  }
  return text;
}

json ChangedSpec(const std::string& name, const std::function<void(json& spec)>& change) {
  json spec = ReadSpec(name);
  if (change) change(spec);
  return spec;
}

// The tensor's bytes in its dtype.
std::string Bytes(const FileTensor& tensor) {
  if (tensor.dtype == "I32")
    return {reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float)};
  static const std::map<std::string, at::ScalarType> types = {{"F64", at::kDouble},
                                                              {"F32", at::kFloat},
                                                              {"F16", at::kHalf},
                                                              {"BF16", at::kBFloat16},
                                                              {"I8", at::kChar}};
  const at::Tensor values = at::from_blob(const_cast<float*>(tensor.values.data()),
                                          {static_cast<int64_t>(tensor.values.size())}, at::kFloat)
                                .to(types.at(tensor.dtype));
  return {static_cast<const char*>(values.const_data_ptr()), values.nbytes()};
}

}  // namespace

FileTensor FillTensor(const json& spec) {
  FileTensor tensor;
  tensor.shape = spec["shape"].get<std::vector<int64_t>>();
  const auto name = spec["name"].get<std::string>();
  for (int64_t i = 0; i < Elements(tensor.shape); ++i) {
    tensor.values.push_back(HashValue(name, i, spec["scale"].get<float>(), spec["offset"].get<float>()));
  }
  const int64_t row_size = static_cast<int64_t>(tensor.values.size()) / tensor.shape[0];
  if (spec.contains("rows")) {
    for (const auto& [row, factor] : spec["rows"].items()) {
      for (int64_t i = 0; i < row_size; ++i)
        tensor.values[std::stoll(row) * row_size + i] *= factor.get<float>();
    }
  }
  if (spec.contains("cells")) {
    for (const json& cell : spec["cells"]) {
      int64_t index = 0;
      for (size_t d = 0; d < tensor.shape.size(); ++d)
        index = index * tensor.shape[d] + cell[d].get<int64_t>();
      tensor.values[index] = cell.back().get<float>();
    }
  }
  return tensor;
}

json ReadSpec(const std::string& name) {
  return ReadJson(RepositoryPath("tests/golden/models/" + name + ".json"));
}

void WriteSafetensors(const std::string& path, const FileTensors& tensors) {
  json header = json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data += Bytes(tensor);
    header[name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof(length));
  file << text << data;
}

TinyModel::TinyModel(const std::string& name, const std::function<void(json& spec)>& change)
    : spec_(ChangedSpec(name, change)) {
  dir_.Write("config.json", spec_["config"].dump());
  dir_.Write("var_profile.json", spec_["profile"].dump());
  for (const json& tensor : spec_["tensors"])
    weights_.emplace(tensor["name"].get<std::string>(), FillTensor(tensor));
  WriteSafetensors(dir() + "/model.safetensors", weights_);
}

model::VisionLanguageModel::Options TinyModel::Options() const {
  model::VisionLanguageModel::Options options;
  options.model_dir = dir();
  options.device = TestDevice();
  options.dtype = "float32";
  return options;
}

std::unique_ptr<const model::VisionLanguageModel> TinyModel::Load(backend::BackendKind backend,
                                                                  const std::string& dtype,
                                                                  int quantize_bits) const {
  model::VisionLanguageModel::Options options = Options();
  options.backend = backend;
  if (backend == backend::BackendKind::kCuda) options.kernels = InterpretedKernels::Start();
  options.dtype = dtype;
  options.quantize_bits = quantize_bits;
  auto config = model::ModelConfig::Load(dir());
  EXPECT_TRUE(config.ok()) << config.status();
  auto model = model::VisionLanguageModel::Load(options, *std::move(config), LargestImage());
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

TinyModel::Size TinyModel::image_size(int n) const {
  if (!spec_.contains("image_sizes")) {
    const auto side = spec_["image_size"].get<int>();
    return {side, side};
  }
  const json& size = spec_["image_sizes"].at(n);
  return {size[0].get<int>(), size[1].get<int>()};
}

std::shared_ptr<const ImageLayout> TinyModel::Layout(int n) const {
  const json& vision = spec_["config"]["vision_config"];
  if (joins_tiles()) {
    const auto tile = vision["image_size"].get<int>();
    const json& config = spec_["config"];
    const auto parsed = image::LlavaNextImageProcessorConfig::Parse(
        {{"size", tile}, {"crop_size", tile}, {"image_grid_pinpoints", config["image_grid_pinpoints"]}},
        "LlavaNextImageProcessor");
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    const int most_tiles = std::stoi(config.value("vision_aspect_ratio", "anyres_max_0").substr(11));
    const auto processor =
        image::LlavaNextImageProcessor::Create(*parsed,
                                               {.image_token = kPlaceholder,
                                                .side = tile / vision["patch_size"].get<int>(),
                                                .most_tiles = most_tiles},
                                               /*max_image_tokens=*/0);
    EXPECT_TRUE(processor.ok()) << processor.status();
    const json& size = spec_["picture_sizes"].at(n);
    image::RgbImage picture{.width = size[1].get<int>(), .height = size[0].get<int>()};
    picture.rgb.resize(size_t{3} * picture.width * picture.height);
    const auto processed = (*processor)->Process(picture);
    EXPECT_TRUE(processed.ok()) << processed.status();
    return processed->layout;
  }
  if (has_tile_text()) {
    TileText text;
    for (int tile = 0; tile < image_size(n).height / image_size(n).width; ++tile)
      text.before.push_back({13, 20 + tile});
    text.after = {19};
    return LayoutWithText(n, text);
  }
  const json& patch = vision["patch_size"];
  const double merged =
      vision.value("spatial_merge_size", 1) / spec_["config"].value("downsample_ratio", 1.0);
  const int side = static_cast<int>((patch.is_array() ? patch[0] : patch).get<int>() * merged);
  const int rows = image_size(n).height / side;
  const int cols = image_size(n).width / side;
  if (goes_by_columns()) {
    return std::make_shared<const ImageLayout>(
        ImageLayout::ByColumns(kPlaceholder, (rows + 1) / 2, (cols + 1) / 2));
  }
  return MakeLayout(rows * cols, rows, cols, kPlaceholder);
}

std::shared_ptr<const ImageLayout> TinyModel::LayoutWithText(int n, const TileText& text) const {
  const json& config = spec_["config"];
  const Size size = image_size(n);
  const int side =
      size.width / config["vision_config"]["patch_size"].get<int>() / config["scale_factor"].get<int>();
  const TileGrid tiles{.down = size.height / size.width, .across = 1, .rows = side, .cols = side};
  return std::make_shared<const ImageLayout>(kPlaceholder, tiles, text);
}

image::ImageShape TinyModel::LargestImage() const {
  Size largest;
  const size_t sizes = spec_.contains("image_sizes") ? spec_["image_sizes"].size() : 1;
  for (size_t n = 0; n < sizes; ++n) {
    const Size size = image_size(static_cast<int>(n));
    if (size.height * size.width > largest.height * largest.width) largest = size;
  }
  const int patches = largest.height * largest.width;                  // more than there are
  const int tiles = has_tiles() ? largest.height / largest.width : 1;  // squares
  return {.height = largest.height / tiles,
          .width = largest.width,
          .tiles = tiles,
          .layout = MakeLayout(patches, 1, patches)};
}

std::shared_ptr<const ProcessedImage> TinyModel::Picture(int n) const {
  auto image = std::make_shared<ProcessedImage>();
  image->height = image_size(n).height;
  image->width = image_size(n).width;
  image->normalization = PictureNormalization();
  if (joins_tiles()) image->layout = Layout(n);
  uint64_t begin = 0;  // of the picture in the numbers of all
  for (int before = 0; before < n; ++before)
    begin += uint64_t{3} * image_size(before).height * image_size(before).width;
  const uint64_t size = static_cast<uint64_t>(image->height) * image->width;  // of a channel
  for (uint64_t i = 0; i < 3 * size; ++i) {
    const uint64_t at = begin + i % 3 * size + i / 3;  // the goldens have one channel after the other
    image->rgb.push_back(static_cast<uint8_t>(Hash("pixel_values", at) >> 56));
  }
  image->digest.fill(static_cast<uint8_t>(n + 1));
  return image;
}

std::shared_ptr<const Prompt> TinyModel::MakePrompt(const std::vector<int32_t>& token_ids,
                                                    const std::vector<std::vector<int>>& spans) const {
  auto prompt = std::make_shared<Prompt>();
  prompt->token_ids = token_ids;
  for (const std::vector<int>& s : spans) {
    prompt->images.push_back(Picture(static_cast<int>(prompt->spans.size())));
    ImageSpan span = MakeSpan(s[0], s[1], s[2], s[3]);
    if (joins_tiles()) span.layout = prompt->images.back()->layout;
    if (goes_by_columns()) span.layout = Layout(0);
    if (has_tile_text()) {
      const auto ids = absl::MakeSpan(token_ids).subspan(s[0], s[1] - s[0]);
      span.layout = LayoutWithText(static_cast<int>(prompt->spans.size()), TextBetween(ids));
      EXPECT_EQ(absl::MakeSpan(span.layout->token_ids), ids);
    }
    EXPECT_EQ(span.layout->size(), s[1] - s[0]);
    prompt->spans.push_back(span);
  }
  return prompt;
}

}  // namespace varserve::testing
