#include "client/image_digest.h"

#include <openssl/evp.h>

#include <array>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace varserve::client {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  void Add(const v1::Image& image) {
    EVP_DigestUpdate(context_.get(), image.data().data(), image.data().size());
    ++images_;
    if (image.has_sha256()) named_ = absl::AsciiStrToLower(image.sha256());
  }
  std::string Hex() {
    if (images_ == 0) return "";
    if (!named_.empty()) return images_ == 1 ? named_ : "";
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), size});
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  int images_ = 0;
  std::string named_;  // the digest of an image that has no bytes
};

}  // namespace

std::string ImageDigest(const v1::AnswerRequest& request) {
  Sha256 digest;
  for (const v1::Image& image : request.images()) digest.Add(image);
  return digest.Hex();
}

std::string ImageDigest(const v1::CaptionRequest& request) {
  Sha256 digest;
  if (request.has_image()) digest.Add(request.image());
  return digest.Hex();
}

std::string ImageDigest(const v1::GenerateRequest& request) {
  Sha256 digest;
  for (const v1::Message& message : request.messages()) {
    for (const v1::Part& part : message.parts()) {
      if (part.has_image()) digest.Add(part.image());
    }
  }
  return digest.Hex();
}

std::string ImageDigest(const v1::CompareRequest& request) { return ImageDigest(request.request()); }

}  // namespace varserve::client
