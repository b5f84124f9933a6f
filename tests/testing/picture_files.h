// Picture files of every kind there is, made of noise, with an EXIF orientation. The same arguments give the
// same file.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace varserve::testing {

struct PictureKind {
  std::string name;  // letters, digits and _
  std::function<std::string(int width, int height, int orientation)> make;
};

std::vector<PictureKind> JpegKinds();
std::vector<PictureKind> PngKinds();
std::vector<PictureKind> WebpKinds();
std::vector<PictureKind> PictureKinds();  // all of them

// A PNG of transparent black, RGBA; small, however many pixels.
std::string BlankPng(int width, int height, int orientation);

// A PNG whose data go on for `excess` zeros after the picture.
std::string PngWithExcess(int width, int height, int excess);

// A progressive JPEG of one color, with one scan for each of the first `scans` coefficients.
std::string JpegOfScans(int width, int height, int scans);

// A lossless WebP of 1024 x 1024 pixels, 300 kB, whose prefix codes become 800 MB of tables.
std::string WebpOfTables();

}  // namespace varserve::testing
