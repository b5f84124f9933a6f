#include "server/image/exif.h"

#include <cstring>
#include <optional>

namespace varserve::image {
namespace {

constexpr uint8_t kExifHeader[] = {'E', 'x', 'i', 'f', 0, 0};
constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShort = 3;  // TIFF's type of a 16 bit number
constexpr size_t kEntrySize = 12;

// Reads numbers of a TIFF block in its byte order; nothing where the block ends too early.
class TiffReader {
 public:
  TiffReader(absl::Span<const uint8_t> tiff, bool little_endian)
      : tiff_(tiff), little_endian_(little_endian) {}

  std::optional<uint32_t> Read(size_t at, size_t size) const {
    if (at > tiff_.size() || tiff_.size() - at < size) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | tiff_[at + (little_endian_ ? size - 1 - i : i)];
    return value;
  }

 private:
  absl::Span<const uint8_t> tiff_;
  bool little_endian_;
};

}  // namespace

int ExifOrientation(absl::Span<const uint8_t> exif) {
  if (exif.size() >= sizeof(kExifHeader) && std::memcmp(exif.data(), kExifHeader, sizeof(kExifHeader)) == 0) {
    exif.remove_prefix(sizeof(kExifHeader));
  }
  if (exif.size() < 8) return 1;
  const bool little_endian = exif[0] == 'I' && exif[1] == 'I';
  const bool big_endian = exif[0] == 'M' && exif[1] == 'M';
  if (!little_endian && !big_endian) return 1;
  const TiffReader tiff(exif, little_endian);
  if (tiff.Read(2, 2) != 42) return 1;

  const size_t directory = *tiff.Read(4, 4);
  const uint32_t num_entries = tiff.Read(directory, 2).value_or(0);
  for (uint32_t i = 0; i < num_entries; ++i) {
    const size_t entry = directory + 2 + i * kEntrySize;
    const std::optional<uint32_t> tag = tiff.Read(entry, 2);
    if (!tag.has_value()) return 1;
    if (*tag != kOrientationTag) continue;
    if (tiff.Read(entry + 2, 2) != kShort) return 1;
    const uint32_t orientation = tiff.Read(entry + 8, 2).value_or(1);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  }
  return 1;
}

}  // namespace varserve::image
