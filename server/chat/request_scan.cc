#include "server/chat/request_scan.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/chat/chat_request.h"
#include "server/chat/request_options.h"
#include "server/chat/utf8_check.h"

namespace varserve::chat {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kMaxUnknownFields = 256;  // of a newer client
constexpr int kMaxFields = 16;          // of a message type

template <typename Message>
const FieldDescriptor* Field(int number) {
  return Message::descriptor()->FindFieldByNumber(number);
}

class Scanner {
 public:
  Scanner(CodedInputStream* in, const RequestLimits& limits)
      : in_(*in),
        counts_{{{Field<v1::AnswerRequest>(v1::AnswerRequest::kImagesFieldNumber), limits.max_images,
                  "images per request (Limits.max_images)"},
                 {Field<v1::Part>(v1::Part::kImageFieldNumber), limits.max_images,
                  "images per request (Limits.max_images)"},
                 {Field<v1::GenerateRequest>(v1::GenerateRequest::kMessagesFieldNumber), limits.max_messages,
                  "messages (Limits.max_messages)"},
                 {Field<v1::Message>(v1::Message::kPartsFieldNumber), limits.max_parts,
                  "parts in all messages (Limits.max_parts)"},
                 {Field<v1::GenerateOptions>(v1::GenerateOptions::kStopFieldNumber), kMaxStopStrings,
                  "stop strings"},
                 {Field<v1::VarOptions>(v1::VarOptions::kMapLayersFieldNumber), limits.num_layers,
                  "layers; the model has no more, and counts them from 0"},
                 {settings_, kMaxSettings, "settings (Limits.max_settings)"},
                 {interventions_, kMaxSettings, "interventions (Limits.max_settings)"}}} {}

  // Everything up to the stream's limit.
  bool Scan(const Descriptor& type);
  absl::Status status(const Descriptor& type) const {
    if (problem_.empty())
      return absl::InvalidArgumentError(absl::StrCat("request: is not a ", type.full_name(), " message"));
    return absl::InvalidArgumentError(absl::StrCat(path_.empty() ? "request" : path_, ": ", problem_));
  }

 private:
  struct Count {
    const FieldDescriptor* field;
    int most;
    const char* what;
    int seen = 0;
  };

  bool ScanField(const FieldDescriptor& field, uint32_t tag);
  bool ScanString(int size);
  bool ScanPacked(const FieldDescriptor& field, int size);
  bool ScanInner(const Descriptor& type, int size);
  bool SkipUnknown(uint32_t tag);
  // Hands the next bytes to `use`, piece by piece, until it returns false.
  template <typename Use>
  bool ForEachPiece(int size, Use use);
  bool CountElements(const FieldDescriptor& field, int elements);
  bool Fail(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  static constexpr size_t kMapLayers = 5;  // in counts_

  const FieldDescriptor* const settings_ =
      Field<v1::CompareRequest>(v1::CompareRequest::kSettingsFieldNumber);
  const FieldDescriptor* const interventions_ =
      Field<v1::CompareRequest>(v1::CompareRequest::kInterventionsFieldNumber);
  CodedInputStream& in_;
  std::array<Count, 8> counts_;
  int unknown_ = 0;
  // Of what is wrong; no problem where the bytes are no message at all.
  std::string path_;
  std::string problem_;
};

bool Scanner::Scan(const Descriptor& type) {
  std::array<int, kMaxFields> elements{};  // of each repeated field so far
  while (const uint32_t tag = in_.ReadTag()) {
    const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    const auto wire_type = WireFormatLite::GetTagWireType(tag);
    const bool packed =
        field != nullptr && field->is_packable() && wire_type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    if (field == nullptr ||
        (!packed && wire_type != WireFormatLite::WireTypeForFieldType(
                                     static_cast<WireFormatLite::FieldType>(field->type())))) {
      if (!SkipUnknown(tag)) return false;
      continue;
    }
    const int element = elements.at(field->index())++;
    if (ScanField(*field, tag)) continue;
    const std::string name =
        field->is_repeated() && !packed ? absl::StrCat(field->name(), "[", element, "]") : field->name();
    path_ = path_.empty() ? name : absl::StrCat(name, ".", path_);
    return false;
  }
  return in_.ConsumedEntireMessage();
}

bool Scanner::ScanField(const FieldDescriptor& field, uint32_t tag) {
  if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED)
    return CountElements(field, 1) && WireFormatLite::SkipField(&in_, tag);
  uint32_t size = 0;
  if (!in_.ReadVarint32(&size) || size > std::numeric_limits<int32_t>::max()) return false;
  const int length = static_cast<int>(size);
  if (field.is_packable()) return ScanPacked(field, length);
  if (!CountElements(field, 1)) return false;
  if (&field == settings_ || &field == interventions_)
    counts_[kMapLayers].seen = 0;  // they count for one setting
  switch (field.type()) {
    case FieldDescriptor::TYPE_MESSAGE:
      return ScanInner(*field.message_type(), length);
    case FieldDescriptor::TYPE_STRING:
      return ScanString(length);
    default:
      return in_.Skip(length);
  }
}

bool Scanner::ScanInner(const Descriptor& type, int size) {
  const auto outer = in_.PushLimit(size);
  if (!Scan(type)) return false;
  in_.PopLimit(outer);
  return true;
}

template <typename Use>
bool Scanner::ForEachPiece(int size, Use use) {
  while (size > 0) {
    const void* data = nullptr;
    int available = 0;
    if (!in_.GetDirectBufferPointer(&data, &available)) return false;
    const int length = std::min(size, available);
    if (!use(absl::string_view(static_cast<const char*>(data), static_cast<size_t>(length)))) return false;
    in_.Skip(length);
    size -= length;
  }
  return true;
}

bool Scanner::ScanString(int size) {
  Utf8Check utf8;
  bool valid = true;
  const bool read = ForEachPiece(size, [&](absl::string_view piece) { return valid = utf8.Add(piece); });
  if (!read && valid) return false;  // it has no end
  return utf8.Whole() || Fail("is not valid UTF-8");
}

bool Scanner::ScanPacked(const FieldDescriptor& field, int size) {
  // The schema has no packed numbers of a fixed size: an element ends with each byte that has no high bit.
  return ForEachPiece(size, [&](absl::string_view piece) {
    const auto ends = std::count_if(piece.begin(), piece.end(), [](char c) { return (c & 0x80) == 0; });
    return CountElements(field, static_cast<int>(ends));
  });
}

bool Scanner::CountElements(const FieldDescriptor& field, int elements) {
  for (Count& count : counts_) {
    if (count.field != &field) continue;
    count.seen += elements;
    if (count.seen > count.most) return Fail(absl::StrCat("at most ", count.most, " ", count.what));
  }
  return true;
}

bool Scanner::SkipUnknown(uint32_t tag) {
  const auto wire_type = WireFormatLite::GetTagWireType(tag);
  if (wire_type == WireFormatLite::WIRETYPE_START_GROUP || wire_type == WireFormatLite::WIRETYPE_END_GROUP)
    return false;
  if (++unknown_ > kMaxUnknownFields)
    return Fail(absl::StrCat("more than ", kMaxUnknownFields, " fields are not known"));
  return WireFormatLite::SkipField(&in_, tag);
}

}  // namespace

RequestLimits LimitsOf(const v1::Model& model) {
  return {.max_images = static_cast<int>(model.limits().max_images()),
          .num_layers = static_cast<int>(model.decoder().layers())};
}

absl::Status ScanRequest(google::protobuf::io::ZeroCopyInputStream& bytes, const Descriptor& type,
                         const RequestLimits& limits) {
  CodedInputStream in(&bytes);
  Scanner scanner(&in, limits);
  return scanner.Scan(type) ? absl::OkStatus() : scanner.status(type);
}

}  // namespace varserve::chat
