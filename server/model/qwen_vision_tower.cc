#include "server/model/qwen_vision_tower.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/model/activation.h"

namespace varserve::model {

// What the weights are called that each version names in its own way.
struct QwenVisionNames {
  const char* gate = nullptr;  // null: the MLP is not gated
  const char* in;
  const char* down;
  const char* merger_norm;
  const char* merger_in;
  const char* merger_out;
};

namespace {

constexpr char kRoot[] = "vision_tower.";

constexpr QwenVisionNames kQwen2VlNames = {
    .in = "mlp.fc1", .down = "mlp.fc2", .merger_norm = "ln_q", .merger_in = "mlp.0", .merger_out = "mlp.2"};
constexpr QwenVisionNames kQwen2_5VlNames = {.gate = "mlp.gate_proj",
                                             .in = "mlp.up_proj",
                                             .down = "mlp.down_proj",
                                             .merger_norm = "ln_q",
                                             .merger_in = "mlp.0",
                                             .merger_out = "mlp.2"};
constexpr QwenVisionNames kQwen3VlNames = {.in = "mlp.linear_fc1",
                                           .down = "mlp.linear_fc2",
                                           .merger_norm = "norm",
                                           .merger_in = "linear_fc1",
                                           .merger_out = "linear_fc2"};

const QwenVisionNames& NamesOf(VisionConfig::Kind kind) {
  return kind == VisionConfig::Kind::kQwen2Vl     ? kQwen2VlNames
         : kind == VisionConfig::Kind::kQwen2_5Vl ? kQwen2_5VlNames
                                                  : kQwen3VlNames;
}

// x * cos + rotate_half(x) * sin, in float32. x: [N, H, D]
at::Tensor Rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.to(at::kFloat).chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.scalar_type());
}

}  // namespace

QwenVisionTower::QwenVisionTower(const ModelConfig& config, const image::ImageShape& largest,
                                 WeightLoader& weights, const backend::LayerOps& ops,
                                 at::ScalarType activation_dtype)
    : config_(config.vision),
      largest_tokens_(largest.layout->size()),
      decoder_width_(config.decoder.hidden_size),
      is_2_5_(config.vision.kind == VisionConfig::Kind::kQwen2_5Vl),
      ops_(ops),
      dtype_(activation_dtype),
      layers_(config.vision.num_hidden_layers) {
  const int64_t width = config_.hidden_size;
  const int64_t patch = config_.patch_size;
  const std::string root = kRoot;
  const QwenVisionNames& names = NamesOf(config_.kind);
  const at::Tensor patches =
      weights.Load(root + "patch_embed.proj.weight", {width, 3, config_.temporal_patch_size, patch, patch});
  at::Tensor bias;
  if (config_.kind == VisionConfig::Kind::kQwen3Vl) {
    bias = weights.LoadFloat(root + "patch_embed.proj.bias", {width});
    LoadPositions(weights);
  }
  for (int i = 0; i < config_.num_hidden_layers; ++i) LoadLayer(i, names, weights);
  for (size_t i = 0; i < config_.deepstack_layers.size(); ++i) {
    layers_[config_.deepstack_layers[i]].deepstack =
        LoadMerger(absl::StrCat("deepstack_merger_list.", i, "."), /*norm_of_tokens=*/true, names, weights);
  }
  merger_ = LoadMerger("merger.", /*norm_of_tokens=*/false, names, weights);
  if (patches.defined()) patch_embedding_ = ops.Prepare(patches.flatten(1), bias);
}

void QwenVisionTower::LoadPositions(WeightLoader& weights) {
  const int64_t side = config_.position_side;
  const int64_t width = config_.hidden_size;
  const at::Tensor positions =
      weights.LoadFloat(absl::StrCat(kRoot, "pos_embed.weight"), {side * side, width});
  if (!positions.defined()) return;
  positions_ = positions.view({1, side, side, width}).permute({0, 3, 1, 2}).contiguous();
}

QwenVisionTower::Norm QwenVisionTower::LoadNorm(const std::string& name, int64_t width,
                                                WeightLoader& weights) const {
  Norm norm{.weight = weights.LoadFloat(name + ".weight", {width}), .bias = {}};
  if (!is_2_5_) norm.bias = weights.LoadFloat(name + ".bias", {width});
  return norm;
}

void QwenVisionTower::LoadLayer(int i, const QwenVisionNames& names, WeightLoader& weights) {
  const int64_t width = config_.hidden_size;
  const int64_t inner = config_.intermediate_size;
  const std::string at = absl::StrCat(kRoot, "blocks.", i, ".");
  Layer& layer = layers_[i];
  layer.norm1 = LoadNorm(at + "norm1", width, weights);
  layer.norm2 = LoadNorm(at + "norm2", width, weights);
  layer.qkv = weights.LoadUnquantized({at + "attn.qkv"}, 3 * width, width);
  layer.out = weights.LoadUnquantized({at + "attn.proj"}, width, width);
  std::vector<std::string> in = {at + names.in};
  if (names.gate != nullptr) in.insert(in.begin(), at + names.gate);
  layer.in = weights.LoadUnquantized(in, inner, width);
  layer.down = weights.LoadUnquantized({at + names.down}, width, inner);
  const std::vector<int>& full = config_.full_attention_layers;
  layer.full = !is_2_5_ || std::find(full.begin(), full.end(), i) != full.end();
}

QwenVisionTower::Merger QwenVisionTower::LoadMerger(const std::string& name, bool norm_of_tokens,
                                                    const QwenVisionNames& names,
                                                    WeightLoader& weights) const {
  const int64_t width = config_.hidden_size;
  const int64_t merged = int64_t{config_.merge_size} * config_.merge_size * width;
  const std::string at = kRoot + name;
  return {.norm = LoadNorm(at + names.merger_norm, norm_of_tokens ? merged : width, weights),
          .in = weights.LoadUnquantized({at + names.merger_in}, merged, merged),
          .out = weights.LoadUnquantized({at + names.merger_out}, decoder_width_, merged)};
}

QwenVisionTower::Grid QwenVisionTower::GridOf(int rows, int cols) const {
  const int merge = config_.merge_size;
  const int side = is_2_5_ ? config_.window_size / config_.patch_size / merge : std::max(rows, cols);
  WindowOrder order = OrderByWindows(rows, cols, side);
  Grid grid{.rows = rows, .cols = cols, .windows = std::move(order.groups), .whole = {{1, rows * cols}}};
  const int head_dim = config_.hidden_size / config_.num_attention_heads;
  const at::Tensor frequencies =
      at::pow(config_.rope_theta, at::arange(0, head_dim / 2, 2, at::kFloat) / (head_dim / 2)).reciprocal();
  // Row and column of each patch, whose token's patches follow each other.
  const at::Tensor tokens = at::tensor(order.tokens, at::kLong).unsqueeze(1);  // [P, 1]
  const at::Tensor patch = at::arange(merge * merge, at::kLong).unsqueeze(0);  // [1, M M]
  const auto angles = [&](const at::Tensor& token, const at::Tensor& within) {
    return (token * merge + within).flatten().to(at::kFloat).unsqueeze(1) * frequencies;  // [N, D / 4]
  };
  const at::Tensor all = at::cat({angles(tokens.div(cols, "floor"), patch.div(merge, "floor")),
                                  angles(tokens.remainder(cols), patch.remainder(merge))},
                                 -1)
                             .unsqueeze(1);  // [N, 1, D / 2]
  const at::Device device = patch_embedding_.weight.device();
  grid.order = tokens.squeeze(1).to(device);
  grid.cos = all.cos().to(device);
  grid.sin = all.sin().to(device);
  return grid;
}

at::Tensor QwenVisionTower::Patches(const at::Tensor& picture, int64_t patch, const Grid& grid) const {
  const int64_t merge = config_.merge_size;
  const int64_t channels = picture.size(0);
  return picture.reshape({channels, grid.rows, merge, patch, grid.cols, merge, patch})
      .permute({1, 4, 2, 5, 0, 3, 6})  // [rows, cols, M, M, channels, patch, patch]
      .reshape({int64_t{grid.rows} * grid.cols, -1})
      .index_select(0, grid.order)
      .view({-1, channels, patch, patch});
}

at::Tensor QwenVisionTower::Embed(const ProcessedImage& image, const Grid& grid) const {
  std::vector<float> values = image.Pixels();
  const at::Tensor pixels =
      at::from_blob(values.data(), {3, image.height, image.width}).to(patch_embedding_.weight.device());
  const at::Tensor patches =
      Patches(pixels, config_.patch_size, grid)
          .unsqueeze(2)
          .to(dtype_)
          .expand({-1, -1, config_.temporal_patch_size, -1, -1})  // a frame of a picture
          .flatten(1);
  const at::Tensor x = ops_.Linear(patches, patch_embedding_);
  if (!positions_.defined()) return x;
  const int64_t merge = config_.merge_size;
  const at::Tensor positions =
      at::upsample_bilinear2d(positions_, {grid.rows * merge, grid.cols * merge}, /*align_corners=*/true);
  return x + Patches(positions.squeeze(0), /*patch=*/1, grid).flatten(1).to(dtype_);
}

at::Tensor QwenVisionTower::Normed(const Norm& norm, const at::Tensor& x) const {
  if (norm.bias.defined()) {
    return at::layer_norm(x, {x.size(-1)}, norm.weight.to(x.scalar_type()), norm.bias.to(x.scalar_type()),
                          config_.layer_norm_eps);
  }
  at::Tensor out = at::empty_like(x);
  ops_.RmsNorm(x, norm.weight, config_.layer_norm_eps, out);
  return out;
}

at::Tensor QwenVisionTower::Attend(const Layer& layer, const Grid& grid, const at::Tensor& x) const {
  const int64_t heads = config_.num_attention_heads;
  const at::Tensor qkv = ops_.Linear(Normed(layer.norm1, x), layer.qkv).view({x.size(0), 3, heads, -1});
  const at::Tensor q = Rotated(qkv.select(1, 0), grid.cos, grid.sin);  // [N, H, D]
  const at::Tensor k = Rotated(qkv.select(1, 1), grid.cos, grid.sin);
  const at::Tensor v = qkv.select(1, 2);
  at::Tensor out = at::empty_like(x);  // [N, Cv]
  int64_t first = 0;
  for (const WindowGroup& group : layer.full ? grid.whole : grid.windows) {
    const int64_t patches = group.tokens * config_.merge_size * config_.merge_size;
    const int64_t count = group.windows * patches;
    const auto windows = [&](const at::Tensor& part) {  // => [windows, patches, H, D]
      return part.narrow(0, first, count).unflatten(0, {group.windows, patches});
    };
    at::Tensor attended = windows(out.view({x.size(0), heads, -1}));
    ops_.AttendWindows(windows(q), windows(k), windows(v), layer.qkv.weight.scalar_type(), attended);
    first += count;
  }
  return ops_.Linear(out, layer.out);
}

at::Tensor QwenVisionTower::Mlp(const Layer& layer, const at::Tensor& x) const {
  at::Tensor inner = ops_.Linear(Normed(layer.norm2, x), layer.in);
  if (is_2_5_) {
    at::Tensor gated = at::empty({inner.size(0), config_.intermediate_size}, inner.options());
    ops_.SiluMul(inner, gated);
    inner = gated;
  } else {
    inner = Activated(config_.hidden_act, inner);
  }
  return ops_.Linear(inner, layer.down);
}

at::Tensor QwenVisionTower::Merge(const Merger& merger, const Grid& grid, const at::Tensor& x) const {
  const at::Tensor normed = Normed(merger.norm, x.view({-1, merger.norm.weight.size(0)}));
  const at::Tensor merged = normed.view({grid.order.numel(), -1});  // [P, M M Cv]
  const at::Tensor visual = ops_.Linear(at::gelu(ops_.Linear(merged, merger.in)), merger.out);
  at::Tensor in_place = at::empty_like(visual);
  return in_place.index_copy_(0, grid.order, visual);
}

EncodedImage QwenVisionTower::Encode(const ProcessedImage& image) const {
  const int token_size = config_.patch_size * config_.merge_size;
  const Grid grid = GridOf(image.height / token_size, image.width / token_size);
  EncodedImage encoded;
  at::Tensor x = Embed(image, grid);
  for (const Layer& layer : layers_) {
    x = x + Attend(layer, grid, x);
    x = x + Mlp(layer, x);
    if (layer.deepstack.has_value()) encoded.deepstack.push_back(Merge(*layer.deepstack, grid, x));
  }
  encoded.embeddings = Merge(merger_, grid, x);
  return encoded;
}

int64_t QwenVisionTower::workspace_bytes() const {
  const int64_t patches = largest_tokens_ * config_.merge_size * config_.merge_size;
  const int64_t pixels = int64_t{3} * config_.patch_size * config_.patch_size;
  const int64_t width = config_.hidden_size;
  // Attention's activations (x, its norm, q k v, rotated and as they were, the result) or the MLP's, or the
  // patches' pixels and positions before and after they are reordered; and what DeepStack keeps.
  const int64_t attention = 12 * width;
  const int64_t mlp = 4 * width + (is_2_5_ ? 3 : 4) * int64_t{config_.intermediate_size};
  const int64_t embedding =
      (3 + 2 * config_.temporal_patch_size) * pixels + (positions_.defined() ? 5 : 1) * width;
  const int64_t deepstack =
      static_cast<int64_t>(config_.deepstack_layers.size()) * largest_tokens_ * decoder_width_;
  return static_cast<int64_t>(sizeof(float)) * (patches * std::max({attention, mlp, embedding}) + deepstack);
}

}  // namespace varserve::model
