// One safetensors file: its header, checked against the file, and its bytes, mapped. No torch.
// Thread-compatible.
//
// Format: 8 bytes little-endian length n, n bytes of JSON {name: {dtype, shape, data_offsets}}, then the
// data; offsets count from the end of the header.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace varserve::model {

struct TensorInfo {
  std::string dtype;  // F32, F16, BF16, ...
  std::vector<int64_t> shape;
  int64_t begin = 0;  // bytes from the start of the data
  int64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, TensorInfo> tensors;
  int64_t data_begin = 0;  // bytes from the start of the file
};

// `head` is the start of the file, at least the header; `file_size` the size of all of it. Every tensor's
// bytes lie inside the file and fit its dtype and shape.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view head, int64_t file_size);

class SafetensorsFile {
 public:
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  const std::map<std::string, TensorInfo>& tensors() const { return header_.tensors; }
  // Valid as long as the file.
  const void* Data(const TensorInfo& tensor) const;
  // Tells the kernel that the tensor's pages are not needed again, so that they do not count as ours.
  void Drop(const TensorInfo& tensor) const;

 private:
  SafetensorsFile(std::string path, const char* bytes, int64_t size, SafetensorsHeader header);
  const std::string path_;
  const char* const bytes_;
  const int64_t size_;
  const SafetensorsHeader header_;
};

}  // namespace varserve::model
