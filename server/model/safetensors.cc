#include "server/model/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve::model {
namespace {

using nlohmann::json;

constexpr int64_t kMaxHeader = 100 << 20;  // the limit of the reference implementation

int64_t DtypeBits(const std::string& dtype) {
  static const std::map<std::string, int64_t> kBits = {
      {"F64", 64},        {"F32", 32},    {"F16", 16},    {"BF16", 16},   {"C64", 64},    {"I64", 64},
      {"I32", 32},        {"I16", 16},    {"I8", 8},      {"U64", 64},    {"U32", 32},    {"U16", 16},
      {"U8", 8},          {"BOOL", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};
  const auto it = kBits.find(dtype);
  return it == kBits.end() ? 0 : it->second;
}

absl::StatusOr<TensorInfo> ParseTensor(const json& entry, int64_t data_size) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2) {
    return absl::FailedPreconditionError("has no dtype, shape and data_offsets");
  }
  TensorInfo info;
  info.dtype = entry["dtype"].get<std::string>();
  int64_t bits = DtypeBits(info.dtype);
  if (bits == 0) return absl::FailedPreconditionError(absl::StrCat("has unknown dtype ", info.dtype));
  for (const json& size : entry["shape"]) {
    if (!size.is_number_unsigned())
      return absl::FailedPreconditionError("has a shape that is not a list of sizes");
    const auto n = size.get<uint64_t>();
    if (n > (uint64_t{1} << 40)) return absl::FailedPreconditionError("has an impossible shape");
    info.shape.push_back(static_cast<int64_t>(n));
    if (__builtin_mul_overflow(bits, static_cast<int64_t>(n), &bits)) {
      return absl::FailedPreconditionError("has an impossible shape");
    }
  }
  for (const json& offset : entry["data_offsets"]) {
    if (!offset.is_number_unsigned() || offset.get<uint64_t>() > (uint64_t{1} << 62)) {
      return absl::FailedPreconditionError("has data_offsets that are not sizes");
    }
  }
  info.begin = entry["data_offsets"][0].get<int64_t>();
  info.end = entry["data_offsets"][1].get<int64_t>();
  if (info.begin > info.end || bits % 8 != 0 || info.end - info.begin != bits / 8) {
    return absl::FailedPreconditionError(
        absl::StrCat("spans ", info.end - info.begin, " bytes, but its dtype and shape take ", bits / 8));
  }
  if (info.end > data_size) {
    return absl::FailedPreconditionError(absl::StrCat("ends at byte ", info.end,
                                                      " of the data, but the file has only ", data_size,
                                                      ": the file is truncated"));
  }
  return info;
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view head, int64_t file_size) {
  if (file_size < 8 || head.size() < 8)
    return absl::FailedPreconditionError("is shorter than a safetensors header");
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(head[i]);
  if (length > kMaxHeader)
    return absl::FailedPreconditionError("is not a safetensors file: impossible header length");
  if (static_cast<int64_t>(length) + 8 > file_size || length + 8 > head.size()) {
    return absl::FailedPreconditionError("is truncated inside its header");
  }
  const json parsed = json::parse(head.substr(8, length), /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object())
    return absl::FailedPreconditionError("is not a safetensors file: its header is not a JSON object");
  SafetensorsHeader header;
  header.data_begin = static_cast<int64_t>(length) + 8;
  for (const auto& [name, entry] : parsed.items()) {
    if (name == "__metadata__") continue;
    absl::StatusOr<TensorInfo> info = ParseTensor(entry, file_size - header.data_begin);
    if (!info.ok())
      return absl::FailedPreconditionError(absl::StrCat("tensor ", name, " ", info.status().message()));
    header.tensors.emplace(name, *std::move(info));
  }
  return header;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string problem = absl::StrCat(name, ": cannot be read: ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(problem) : absl::FailedPreconditionError(problem);
  }
  struct stat info = {};
  const bool known = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
  void* bytes = known ? mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  close(fd);
  if (bytes == MAP_FAILED)
    return absl::FailedPreconditionError(absl::StrCat(name, ": is empty or cannot be mapped"));
  const std::string_view all(static_cast<const char*>(bytes), info.st_size);
  absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(all, info.st_size);
  if (!header.ok()) {
    munmap(bytes, info.st_size);
    return absl::FailedPreconditionError(absl::StrCat(name, ": ", header.status().message()));
  }
  return std::unique_ptr<SafetensorsFile>(
      new SafetensorsFile(name, static_cast<const char*>(bytes), info.st_size, *std::move(header)));
}

SafetensorsFile::SafetensorsFile(std::string name, const char* bytes, int64_t size, SafetensorsHeader header)
    : name_(std::move(name)), bytes_(bytes), size_(size), header_(std::move(header)) {}

SafetensorsFile::~SafetensorsFile() { munmap(const_cast<char*>(bytes_), size_); }

const void* SafetensorsFile::Data(const TensorInfo& tensor) const {
  return bytes_ + header_.data_begin + tensor.begin;
}

void SafetensorsFile::Drop(const TensorInfo& tensor) const {
  // Whole pages inside the tensor only: the others hold a neighbour's bytes.
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t begin = (header_.data_begin + tensor.begin + page - 1) / page * page;
  const int64_t end = (header_.data_begin + tensor.end) / page * page;
  if (begin < end) madvise(const_cast<char*>(bytes_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace varserve::model
