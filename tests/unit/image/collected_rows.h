// Decodes a file into a whole picture, as it is stored.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/image/image_decoder.h"

namespace varserve::image {

class CollectedRows final : public RowSink {
 public:
  CollectedRows(int width, int height) : image_{width, height, {}} {}
  void AddRow(const uint8_t* rgb) override {
    image_.rgb.insert(image_.rgb.end(), rgb, rgb + static_cast<ptrdiff_t>(image_.width) * 3);
  }
  const RgbImage& image() const { return image_; }

 private:
  RgbImage image_;
};

inline absl::StatusOr<RgbImage> DecodeStored(absl::string_view file, const ImageLimits& limits = {},
                                             Stop stop = NeverStop) {
  const absl::StatusOr<ImageInfo> info = ReadImageInfo(file, limits);
  if (!info.ok()) return info.status();
  CollectedRows rows(info->width, info->height);
  const absl::Status status = DecodeImage(file, rows, stop);
  if (!status.ok()) return status;
  return rows.image();
}

}  // namespace varserve::image
