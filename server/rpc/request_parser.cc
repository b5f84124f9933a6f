#include "server/rpc/request_parser.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace varserve::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::DynamicMessageFactory;
using google::protobuf::FieldDescriptor;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsUtf8(const std::string& text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const int length = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    if (*p < 0xc2 || *p > 0xf4 || end - p < length) return false;
    uint32_t rune = *p & (0x7f >> length);
    for (int i = 1; i < length; ++i) {
      if ((p[i] & 0xc0) != 0x80) return false;
      rune = rune << 6 | (p[i] & 0x3f);
    }
    constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (rune < kSmallest[length] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) return false;
    p += length;
  }
  return true;
}

// Copies the file and what it imports into `pool` with all string fields turned into bytes, which parse
// whatever they hold.
void AddWithBytesForStrings(const FileDescriptor& file, DescriptorPool& pool) {
  if (pool.FindFileByName(file.name()) != nullptr) return;
  for (int i = 0; i < file.dependency_count(); ++i) AddWithBytesForStrings(*file.dependency(i), pool);
  FileDescriptorProto copy;
  file.CopyTo(&copy);
  const auto change = [](const auto& self, google::protobuf::DescriptorProto& message) -> void {
    for (FieldDescriptorProto& field : *message.mutable_field()) {
      if (field.type() == FieldDescriptorProto::TYPE_STRING) field.set_type(FieldDescriptorProto::TYPE_BYTES);
    }
    for (auto& nested : *message.mutable_nested_type()) self(self, nested);
  };
  for (auto& message : *copy.mutable_message_type()) change(change, message);
  pool.BuildFile(copy);
}

// Path of the first field of `message`, parsed with bytes for strings, that should be a string and is not
// UTF-8.
std::optional<std::string> FindBadString(const Message& message, const Descriptor& original) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const FieldDescriptor* declared = original.FindFieldByNumber(field->number());
    if (declared == nullptr) continue;
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string name =
          field->is_repeated() ? absl::StrCat(field->name(), "[", i, "]") : field->name();
      if (declared->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text = field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                                      : reflection.GetString(message, field);
        if (!IsUtf8(text)) return name;
      } else if (declared->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        const Message& inner = field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                    : reflection.GetMessage(message, field);
        if (const auto bad = FindBadString(inner, *declared->message_type()))
          return absl::StrCat(name, ".", *bad);
      }
    }
  }
  return std::nullopt;
}

bool Parse(const grpc::ByteBuffer& bytes, Message& message) {
  grpc::ByteBuffer copy(bytes);  // shares the slices
  grpc::ProtoBufferReader reader(&copy);
  return reader.status().ok() && message.ParseFromZeroCopyStream(&reader);
}

}  // namespace

absl::Status ParseRequest(const grpc::ByteBuffer& bytes, Message& request) {
  if (Parse(bytes, request)) return absl::OkStatus();
  const Descriptor& descriptor = *request.GetDescriptor();
  DescriptorPool pool;
  AddWithBytesForStrings(*descriptor.file(), pool);
  DynamicMessageFactory factory(&pool);
  const std::unique_ptr<Message> lenient(
      factory.GetPrototype(pool.FindMessageTypeByName(descriptor.full_name()))->New());
  if (Parse(bytes, *lenient)) {
    if (const auto bad = FindBadString(*lenient, descriptor)) {
      return absl::InvalidArgumentError(absl::StrCat(*bad, ": is not valid UTF-8"));
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("request: is not a ", descriptor.full_name(), " message"));
}

}  // namespace varserve::rpc
