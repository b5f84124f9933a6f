#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>
#include <vector>

#include "server/base/status_macros.h"
#include "server/preprocess/exif.h"
#include "server/preprocess/image_codecs.h"

namespace varserve::preprocess {
namespace {

absl::Status Failure() { return absl::InvalidArgumentError("image: damaged or unsupported WebP"); }

int Orientation(const WebPData& file) {
  const std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)> demuxer(WebPDemux(&file), &WebPDemuxDelete);
  WebPChunkIterator chunk{};
  if (demuxer == nullptr || WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &chunk) == 0) return 1;
  const int orientation = ExifOrientation({chunk.chunk.bytes, chunk.chunk.size});
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

absl::StatusOr<RgbImage> DecodeFirstFrame(const WebPData& file, int width, int height) {
  WebPAnimDecoderOptions options;
  if (WebPAnimDecoderOptionsInit(&options) == 0) return Failure();
  options.color_mode = MODE_RGBA;
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&file, &options), &WebPAnimDecoderDelete);
  uint8_t* rgba = nullptr;  // the decoder's own
  int timestamp = 0;
  if (decoder == nullptr || WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp) == 0) return Failure();
  return LayOnWhite(width, height, {rgba, static_cast<size_t>(width) * height * 4});
}

absl::StatusOr<RgbImage> DecodeStill(absl::Span<const uint8_t> bytes, int width, int height, bool has_alpha) {
  const int channels = has_alpha ? 4 : 3;
  std::vector<uint8_t> pixels(static_cast<size_t>(width) * height * channels);
  const auto decode = has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(bytes.data(), bytes.size(), pixels.data(), pixels.size(), width * channels) == nullptr) {
    return Failure();
  }
  if (has_alpha) return LayOnWhite(width, height, pixels);
  return RgbImage{width, height, std::move(pixels)};
}

}  // namespace

absl::StatusOr<RgbImage> DecodeWebp(absl::Span<const uint8_t> bytes, int64_t max_pixels) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK) return Failure();
  RETURN_IF_ERROR(CheckImageSize(features.width, features.height, max_pixels));
  const WebPData file{bytes.data(), bytes.size()};
  ASSIGN_OR_RETURN(RgbImage image,
                   features.has_animation
                       ? DecodeFirstFrame(file, features.width, features.height)
                       : DecodeStill(bytes, features.width, features.height, features.has_alpha != 0));
  return Upright(std::move(image), Orientation(file));
}

}  // namespace varserve::preprocess
