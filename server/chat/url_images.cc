#include "server/chat/url_images.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"
#include "server/engine/engine.h"
#include "server/engine/retry_delay.h"

namespace varserve::chat {
namespace {

bool HasUrl(const ChatRequest::Picture& picture) { return !picture.url.empty(); }

absl::Status Named(const ChatRequest::Picture& picture, const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? Prefixed(absl::StrCat(picture.field, ": "), status) : status;
}

// The source of a request whose pictures came later.
struct Source {
  std::shared_ptr<const void> request;
  std::deque<std::string> pictures;
  ByteBudget::Lease memory;
};

}  // namespace

bool HasUrls(const ChatRequest& chat) {
  return std::any_of(chat.pictures.begin(), chat.pictures.end(), HasUrl);
}

UrlImages::UrlImages(Options options)
    : fetcher_(std::move(options.fetch)),
      memory_(options.memory),
      threads_(fetcher_.enabled() ? kThreads : 0) {}

absl::Status UrlImages::Check(const ChatRequest& chat) const {
  for (const ChatRequest::Picture& picture : chat.pictures) {
    if (HasUrl(picture)) RETURN_IF_ERROR(Named(picture, fetcher_.Check(picture.url)));
  }
  return absl::OkStatus();
}

absl::Status UrlImages::Submit(const std::string& caller, WorkerPool::Work work) {
  {
    absl::MutexLock lock(&mu_);
    int& count = of_caller_[caller];
    if (count == kMostOfCaller) {
      return engine::WithRetryDelay(
          absl::ResourceExhaustedError(
              "images: too many of your requests are waiting for pictures from other servers"),
          engine::kDefaultRetryDelay);
    }
    ++count;
  }
  const bool accepted = threads_.Submit(caller, [this, caller, work = std::move(work)]() mutable {
    std::move(work)();
    OnDone(caller);
  });
  if (accepted) return absl::OkStatus();
  OnDone(caller);
  return engine::ShuttingDownError();
}

void UrlImages::OnDone(const std::string& caller) {
  absl::MutexLock lock(&mu_);
  const auto found = of_caller_.find(caller);
  if (--found->second == 0) of_caller_.erase(found);
}

absl::Status UrlImages::Fetch(int64_t max_image_bytes, Stop stop, ChatRequest& chat) {
  const int64_t urls = std::count_if(chat.pictures.begin(), chat.pictures.end(), HasUrl);
  auto source = std::make_shared<Source>();
  // All that they may need at once: a waiting request holds nothing.
  ASSIGN_OR_RETURN(source->memory, memory_.Acquire(std::min(urls * max_image_bytes, memory_.size()), stop));
  int64_t used = 0;
  for (ChatRequest::Picture& picture : chat.pictures) {
    if (!HasUrl(picture)) continue;
    const int64_t most = std::min(max_image_bytes, source->memory.bytes() - used);
    absl::StatusOr<std::string> bytes = fetcher_.Fetch(picture.url, most, stop);
    if (!bytes.ok()) return Named(picture, bytes.status());
    used += static_cast<int64_t>(bytes->size());
    picture.bytes = &source->pictures.emplace_back(*std::move(bytes));
    picture.url.clear();
  }
  source->memory.ShrinkTo(used);
  source->request = std::move(chat.source);
  chat.source = std::move(source);
  return absl::OkStatus();
}

}  // namespace varserve::chat
