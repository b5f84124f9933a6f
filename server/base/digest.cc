#include "server/base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

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

std::optional<Digest> DigestFromHex(absl::string_view hex) {
  Digest digest;
  const auto is_digit = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (hex.size() != 2 * digest.size() || !std::all_of(hex.begin(), hex.end(), is_digit)) return std::nullopt;
  const std::string bytes = absl::HexStringToBytes(hex);
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

}  // namespace varserve
