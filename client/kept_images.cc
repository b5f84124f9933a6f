#include "client/kept_images.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <type_traits>

#include "absl/strings/escaping.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMostImages = 4096;  // more than a server keeps for one caller

std::string HexSha256(const std::string& data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), size});
}

// All images in `message`, in order. `M`: Message, const or not.
template <typename M, typename Visit>
void VisitImages(M& message, Visit visit) {
  constexpr bool kConst = std::is_const_v<M>;
  if (message.GetDescriptor() == v1::Image::descriptor()) {
    visit(static_cast<std::conditional_t<kConst, const v1::Image, v1::Image>&>(message));
    return;
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if constexpr (kConst) {
        VisitImages<M>(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                            : reflection.GetMessage(message, field),
                       visit);
      } else {
        VisitImages<M>(field->is_repeated() ? *reflection.MutableRepeatedMessage(&message, field, i)
                                            : *reflection.MutableMessage(&message, field),
                       visit);
      }
    }
  }
}

}  // namespace

void KeptImages::Add(const std::vector<std::string>& digests) {
  absl::MutexLock lock(&mu_);
  for (const std::string& digest : digests) {
    if (!digests_.insert(digest).second) continue;
    order_.push_back(digest);
    if (order_.size() <= kMostImages) continue;
    digests_.erase(order_.front());
    order_.pop_front();
  }
}

void KeptImages::Remove(const std::vector<std::string>& digests) {
  absl::MutexLock lock(&mu_);
  for (const std::string& digest : digests) digests_.erase(digest);
}

std::vector<std::string> KeptImages::Among(const std::vector<std::string>& digests) const {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> kept;
  std::copy_if(digests.begin(), digests.end(), std::back_inserter(kept),
               [this](const std::string& digest)
                   ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return digests_.contains(digest); });
  return kept;
}

std::vector<std::string> DigestsOf(const Message& request) {
  std::vector<std::string> digests;
  VisitImages(request, [&](const v1::Image& image) {
    if (image.has_data()) digests.push_back(HexSha256(image.data()));
  });
  return digests;
}

void NameImages(const std::vector<std::string>& digests, Message& request) {
  VisitImages(request, [&](v1::Image& image) {
    if (!image.has_data()) return;
    const std::string digest = HexSha256(image.data());
    if (std::find(digests.begin(), digests.end(), digest) != digests.end()) image.set_sha256(digest);
  });
}

}  // namespace varserve::client
