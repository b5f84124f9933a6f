#include "tests/testing/picture_files.h"

#include <cstdint>

namespace varserve::testing {

std::vector<PictureKind> PictureKinds() {
  std::vector<PictureKind> kinds;
  for (auto* const of_format : {JpegKinds, PngKinds, WebpKinds}) {
    for (PictureKind& kind : of_format()) kinds.push_back(std::move(kind));
  }
  return kinds;
}

}  // namespace varserve::testing
