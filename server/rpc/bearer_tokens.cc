#include "server/rpc/bearer_tokens.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <fstream>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace varserve::rpc {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);

std::string VersionOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, "/", info.st_size, "/", info.st_ino);
}

std::optional<std::vector<std::string>> ReadTokens(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::vector<std::string> tokens;
  for (std::string line; std::getline(file, line);) {
    const absl::string_view token = absl::StripAsciiWhitespace(line);
    if (!token.empty() && token[0] != '#') tokens.emplace_back(token);
  }
  return tokens;
}

std::string Hash(absl::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), sizeof(digest));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BearerTokens>> BearerTokens::Load(const std::string& path) {
  auto tokens = absl::WrapUnique(new BearerTokens(path));
  absl::MutexLock lock(&tokens->mu_);
  tokens->Refresh();
  if (tokens->tokens_.empty())
    return absl::InvalidArgumentError(absl::StrCat("token_file: ", path, " holds no token"));
  return tokens;
}

void BearerTokens::Refresh() const {
  looked_ = absl::Now();
  std::string version = VersionOf(path_);
  if (version.empty() || version == version_) return;
  std::optional<std::vector<std::string>> tokens = ReadTokens(path_);
  if (!tokens.has_value() || tokens->empty()) return;
  for (std::string& token : *tokens) token = Hash(token);
  tokens_ = *std::move(tokens);
  version_ = std::move(version);
}

absl::Status BearerTokens::Check(const Metadata& metadata) const {
  const auto it = metadata.find("authorization");
  absl::string_view given =
      it == metadata.end() ? "" : absl::string_view(it->second.data(), it->second.size());
  if (!absl::ConsumePrefix(&given, "Bearer ")) {
    return absl::UnauthenticatedError("authorization: a bearer token is needed");
  }
  const std::string hash = Hash(given);
  absl::MutexLock lock(&mu_);
  if (absl::Now() - looked_ >= kLookEvery) Refresh();
  int equal = 0;
  for (const std::string& token : tokens_)
    equal |= CRYPTO_memcmp(token.data(), hash.data(), hash.size()) == 0 ? 1 : 0;
  return equal != 0 ? absl::OkStatus()
                    : absl::UnauthenticatedError("authorization: the bearer token is not known");
}

}  // namespace varserve::rpc
