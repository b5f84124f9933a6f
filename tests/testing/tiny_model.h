// The tiny models of tests/golden: model directories written from their specs (tests/golden/README.md), so
// that no weights are stored.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/base/prompt.h"
#include "server/model/vision_language_model.h"
#include "tests/testing/temp_dir.h"

namespace varserve::testing {

// A tensor as it goes into a file.
struct FileTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
  std::string dtype = "F32";  // or F64, F16, BF16, I8; I32: the values' bits are the integers
};
using FileTensors = std::map<std::string, FileTensor>;

// The tensor a spec describes, as float32.
FileTensor FillTensor(const nlohmann::json& spec);

// `spec` of tests/golden/models/NAME.json.
nlohmann::json ReadSpec(const std::string& name);

// Writes them as safetensors.
void WriteSafetensors(const std::string& path, const FileTensors& tensors);

class TinyModel {
 public:
  // `name`: of tests/golden/models/NAME.json. `change` may make another model of it.
  explicit TinyModel(const std::string& name,
                     const std::function<void(nlohmann::json& spec)>& change = nullptr);

  const std::string& dir() const { return dir_.path(); }
  const nlohmann::json& spec() const { return spec_; }
  // Of the n-th picture as the tower gets it, in pixels; they all are squares of one size, or differ. Those
  // of InternVL, LLaVA-NeXT and SmolVLM have square tiles below each other.
  struct Size {
    int height = 0;
    int width = 0;
  };
  Size image_size(int n = 0) const;
  // The tokens of the n-th picture.
  std::shared_ptr<const ImageLayout> Layout(int n) const;
  const FileTensors& weights() const { return weights_; }

  // Runs on TestDevice().
  model::VisionLanguageModel::Options Options() const;
  std::unique_ptr<const model::VisionLanguageModel> Load(
      backend::BackendKind backend = backend::BackendKind::kAuto, const std::string& dtype = "float32",
      int quantize_bits = 0) const;

  // A shape that no picture exceeds.
  image::ImageShape LargestImage() const;
  // The n-th of the model's made-up pictures.
  std::shared_ptr<const ProcessedImage> Picture(int n) const;
  // A prompt with pictures 0, 1, ... at `spans`, each [begin, end, rows, cols, ..]. The last rows x cols of
  // its tokens are the grid, except where tiles are joined. Around tiles, other tokens than the placeholder
  // are their text.
  std::shared_ptr<const Prompt> MakePrompt(const std::vector<int32_t>& token_ids,
                                           const std::vector<std::vector<int>>& spans) const;

 private:
  // VILA's downsampling projector.
  bool goes_by_columns() const { return spec_["config"].value("mm_projector_type", "") == "mlp_downsample"; }
  bool joins_tiles() const { return spec_.contains("picture_sizes"); }
  bool has_tile_text() const { return spec_["config"].contains("scale_factor"); }
  bool has_tiles() const {
    return spec_["config"]["model_type"] == "internvl" || joins_tiles() || has_tile_text();
  }
  std::shared_ptr<const ImageLayout> LayoutWithText(int n, const TileText& text) const;

  const TempDir dir_;
  const nlohmann::json spec_;
  FileTensors weights_;
};

}  // namespace varserve::testing
