#include "server/image/processor_file.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/model_files.h"

namespace varserve::image {
namespace {

constexpr char kProcessorFile[] = "processor_config.json";
constexpr char kNested[] = "image_processor";
// transformers' values of `resample`, from Pillow.
constexpr int kPillowLanczos = 1;
constexpr int kPillowBilinear = 2;
constexpr int kPillowBicubic = 3;
// Beyond this no vision tower goes; it keeps sizes far from overflow.
constexpr int kMaxEdge = 1 << 14;

}  // namespace

absl::StatusOr<ProcessorFile> ProcessorFile::Load(const std::filesystem::path& model_dir) {
  for (const bool nested : {true, false}) {
    const char* const name = nested ? kProcessorFile : kPreprocessorFile;
    absl::StatusOr<nlohmann::json> json = ReadModelJson(model_dir, name);
    if (absl::IsNotFound(json.status())) continue;
    if (!json.ok()) return json.status();
    if (nested && !JsonFields(*json, name).Has(kNested)) continue;
    return ProcessorFile(nested, *std::move(json));
  }
  return absl::NotFoundError(absl::StrCat("image processor: neither ", kPreprocessorFile, " nor an ", kNested,
                                          " in ", kProcessorFile, " found in the model directory ",
                                          model_dir.string()));
}

JsonFields ProcessorFile::fields() const {
  if (!nested_) return JsonFields(json_, kPreprocessorFile);
  return JsonFields(json_, kProcessorFile).Object(kNested);
}

bool Flag(JsonFields& fields, const char* key, bool fallback) {
  return !fields.IsNull(key) && fields.Bool(key, fallback);
}

int ReadEdge(JsonFields& fields, const char* key) {
  return static_cast<int>(fields.Int(key, 1, 1, kMaxEdge));
}

void ReadHeightAndWidth(JsonFields& fields, const char* key, int& height, int& width) {
  const nlohmann::json& value = *fields.Find(key);
  if (value.is_array() && value.size() == 2) {
    const std::vector<int64_t> edges = fields.Ints(key, {1, 1});
    for (const int64_t edge : edges) {
      if (edge < 1 || edge > kMaxEdge) fields.FailWithValue(key, absl::StrCat("not in [1, ", kMaxEdge, "]"));
    }
    height = static_cast<int>(edges[0]);
    width = static_cast<int>(edges[1]);
    return;
  }
  if (!value.is_object() || value.size() != 2 || !value.contains("height") || !value.contains("width")) {
    fields.FailWithValue(key, "which is not supported; supported are height and width");
    return;
  }
  JsonFields edges = fields.Object(key);
  height = ReadEdge(edges, "height");
  width = ReadEdge(edges, "width");
}

ResizeFilter ReadFilter(JsonFields& fields, ResizeFilter fallback) {
  constexpr char kKey[] = "resample";
  if (!fields.Has(kKey) && !fields.IsNull(kKey)) return fallback;
  const int64_t filter = fields.Int(kKey, kPillowBicubic, INT64_MIN, INT64_MAX);
  if (filter == kPillowLanczos) return ResizeFilter::kLanczos;
  if (filter == kPillowBilinear) return ResizeFilter::kBilinear;
  if (filter != kPillowBicubic) {
    fields.FailWithValue(kKey, "which is not supported; supported: 1 (Lanczos), 2 (bilinear), 3 (bicubic)");
  }
  return ResizeFilter::kBicubic;
}

std::string ReadImageProcessorType(JsonFields& fields, const char* fallback,
                                   std::initializer_list<absl::string_view> supported) {
  constexpr char kKey[] = "image_processor_type";
  const bool old = !fields.Has(kKey) && fields.Has("feature_extractor_type");
  const char* const key = old ? "feature_extractor_type" : kKey;
  std::string type = fields.Has(key) ? fields.String(key, "") : fallback;
  if (old) type = absl::StrCat(absl::StripSuffix(type, "FeatureExtractor"), "ImageProcessor");
  type = std::string(absl::StripSuffix(absl::StripSuffix(type, "Fast"), "Pil"));
  if (std::find(supported.begin(), supported.end(), type) == supported.end()) {
    fields.FailWithValue(key,
                         absl::StrCat("which is not supported; supported: ", absl::StrJoin(supported, ", ")));
  }
  return type;
}

}  // namespace varserve::image
