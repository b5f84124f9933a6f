#include "server/base/digest.h"

#include <openssl/evp.h>

#include <memory>
#include <new>

namespace varserve {

Digest Sha256(std::initializer_list<absl::string_view> pieces) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool ok = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (const absl::string_view piece : pieces)
    ok = ok && EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1;
  Digest digest;
  // These calls can fail only if memory runs out.
  if (!ok || EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) throw std::bad_alloc();
  return digest;
}

}  // namespace varserve
