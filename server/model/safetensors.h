// One safetensors file: its header, checked against the file, and its bytes, mapped. No torch.
// Thread-compatible.
//
// Format: 8 bytes little-endian length n, n bytes of JSON {name: {dtype, shape, data_offsets}}, then the
// data; offsets count from the end of the header.
#pragma once

#include <cstdint>
#include <filesystem>
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
// bytes lie inside the file and fit its dtype and shape. Otherwise FAILED_PRECONDITION.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view head, int64_t file_size);

class SafetensorsFile {
 public:
  // NOT_FOUND or FAILED_PRECONDITION beginning with the file's name.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& name() const { return name_; }
  const std::map<std::string, TensorInfo>& tensors() const { return header_.tensors; }
  // Valid as long as the file.
  const void* Data(const TensorInfo& tensor) const;
  // Lets the kernel drop the tensor's pages, so that they no longer count as this process's.
  void Drop(const TensorInfo& tensor) const;

 private:
  SafetensorsFile(std::string name, const char* bytes, int64_t size, SafetensorsHeader header);
  const std::string name_;
  const char* const bytes_;
  const int64_t size_;
  const SafetensorsHeader header_;
};

}  // namespace varserve::model
