// The file with an image processor's configuration, and fields that all processors read alike.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "server/base/json_fields.h"
#include "server/image/resize_weights.h"

namespace varserve::image {

class ProcessorFile {
 public:
  static constexpr char kPreprocessorFile[] = "preprocessor_config.json";

  // processor_config.json if it has an image_processor, else preprocessor_config.json. NOT_FOUND or
  // FAILED_PRECONDITION naming the files.
  static absl::StatusOr<ProcessorFile> Load(const std::filesystem::path& model_dir);

  // Those of the image processor. The file must outlive them.
  JsonFields fields() const;

 private:
  ProcessorFile(bool nested, nlohmann::json json) : nested_(nested), json_(std::move(json)) {}

  bool nested_;  // in processor_config.json
  nlohmann::json json_;
};

// Null is false, whatever the default.
bool Flag(JsonFields& fields, const char* key, bool fallback);
// A side of a picture in pixels, 1 if there is none.
int ReadEdge(JsonFields& fields, const char* key);
// {"height": .., "width": ..} or [height, width], in pixels; the field must be there.
void ReadHeightAndWidth(JsonFields& fields, const char* key, int& height, int& width);
// `resample`.
ResizeFilter ReadFilter(JsonFields& fields, ResizeFilter fallback = ResizeFilter::kBicubic);
// One of the `supported` kinds of processors. Their implementations' names ("...Fast" in older versions,
// "...Pil" in newer ones) and the feature extractors of older files are the same kind.
std::string ReadImageProcessorType(JsonFields& fields, const char* fallback,
                                   std::initializer_list<absl::string_view> supported);

}  // namespace varserve::image
