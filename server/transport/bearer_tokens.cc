#include "server/transport/bearer_tokens.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"

namespace varserve::transport {
namespace {

constexpr std::chrono::seconds kLookEvery{1};
constexpr size_t kMaxName = 64;

std::string VersionOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return "";
  // A change of permissions updates only ctime.
  return absl::StrCat(info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, "/", info.st_ctim.tv_sec, ".",
                      info.st_ctim.tv_nsec, "/", info.st_size, "/", info.st_ino);
}

bool IsName(absl::string_view text) {
  return text.size() <= kMaxName && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

absl::StatusOr<std::unique_ptr<BearerTokens>> BearerTokens::Load(const std::string& path,
                                                                 telemetry::Logger* logger) {
  auto tokens = absl::WrapUnique(new BearerTokens(path, logger));
  absl::MutexLock lock(&tokens->mu_);
  tokens->looked_ = std::chrono::steady_clock::now();
  tokens->version_ = VersionOf(path);
  ASSIGN_OR_RETURN(tokens->tokens_, Read(path));
  if (tokens->tokens_.empty())
    return absl::InvalidArgumentError(absl::StrCat("--token_file: ", path, " holds no token"));
  return tokens;
}

absl::StatusOr<std::vector<BearerTokens::Token>> BearerTokens::Read(const std::string& path) {
  // Opening any other kind of file could block forever.
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
    return absl::InvalidArgumentError(absl::StrCat("--token_file: ", path, " is not a regular file"));
  std::ifstream file(path);
  if (!file) return absl::InvalidArgumentError(absl::StrCat("--token_file: ", path, " cannot be read"));
  std::vector<Token> tokens;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text[0] == '#') continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() > 2 || (words.size() == 2 && !IsName(words[0]))) {
      return absl::InvalidArgumentError(absl::StrCat("--token_file: line ", number, " of ", path,
                                                     " is neither TOKEN nor NAME TOKEN; a name has up to ",
                                                     kMaxName, " letters, digits, '-', '_' and '.'"));
    }
    const Digest digest = Sha256({words.back()});
    const auto same =
        std::find_if(tokens.begin(), tokens.end(), [&](const Token& t) { return t.digest == digest; });
    if (same != tokens.end()) {
      return absl::InvalidArgumentError(absl::StrCat("--token_file: line ", number, " of ", path,
                                                     " repeats the token of ", same->name,
                                                     "; each caller needs one of its own"));
    }
    std::string name = words.size() == 2
                           ? std::string(words[0])
                           : absl::StrCat("token-", absl::BytesToHexString(BytesOf(digest)).substr(0, 8));
    tokens.push_back({std::move(name), digest});
  }
  if (file.bad()) return absl::InvalidArgumentError(absl::StrCat("--token_file: ", path, " cannot be read"));
  return tokens;
}

BearerTokens::News BearerTokens::Refresh() const {
  looked_ = std::chrono::steady_clock::now();
  std::string version = VersionOf(path_);
  if (version == version_) return {};
  version_ = std::move(version);
  absl::StatusOr<std::vector<Token>> tokens = Read(path_);
  if (!tokens.ok()) {
    return {absl::StrCat(tokens.status().message(), ": the previous tokens stay in use"), /*is_error=*/true};
  }
  tokens_ = *std::move(tokens);
  if (tokens_.empty())
    return {absl::StrCat("--token_file: ", path_, " holds no token: nobody may call"), /*is_error=*/true};
  return {absl::StrCat("--token_file: ", tokens_.size(), " tokens read again")};
}

absl::StatusOr<std::string> BearerTokens::Check(absl::string_view authorization) const {
  absl::string_view given = authorization;
  if (!absl::ConsumePrefix(&given, "Bearer "))
    return absl::UnauthenticatedError("authorization: a bearer token is needed");
  const Digest digest = Sha256({given});
  News news;
  std::string name;
  bool known = false;
  {
    absl::MutexLock lock(&mu_);
    if (std::chrono::steady_clock::now() - looked_ >= kLookEvery) news = Refresh();
    for (const Token& token : tokens_) {
      if (CRYPTO_memcmp(token.digest.data(), digest.data(), digest.size()) != 0) continue;
      known = true;
      name = token.name;
    }
  }
  if (!news.message.empty()) news.is_error ? logger_->Error(news.message) : logger_->Info(news.message);
  if (!known) return absl::UnauthenticatedError("authorization: the bearer token is not known");
  return name;
}

}  // namespace varserve::transport
