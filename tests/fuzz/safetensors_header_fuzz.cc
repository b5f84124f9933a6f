// Any beginning of a weights file gives tensors that lie inside the file, or is refused.
//
// Input: two bytes that say by how much the file is longer than what follows, the beginning of the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/model/safetensors.h"

namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view head(reinterpret_cast<const char*>(data + 2), size - 2);
  const auto file_size = static_cast<int64_t>(head.size()) + (data[0] << 8 | data[1]);
  const auto header = varserve::model::ParseSafetensorsHeader(head, file_size);
  if (!header.ok()) {
    Check(!header.status().message().empty());
    return 0;
  }
  Check(header->data_begin >= 8 && header->data_begin <= file_size);
  for (const auto& [name, tensor] : header->tensors) {
    Check(0 <= tensor.begin && tensor.begin <= tensor.end && tensor.end <= file_size - header->data_begin);
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) {
      Check(dimension >= 0 && !__builtin_mul_overflow(elements, dimension, &elements));
    }
    Check(elements == 0 ? tensor.begin == tensor.end : (tensor.end - tensor.begin) % elements == 0);
  }
  return 0;
}
