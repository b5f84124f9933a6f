#include "server/grpc/health_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/retry_delay.h"
#include "server/grpc/message_reactor.h"
#include "server/grpc/wire.h"
#include "server/transport/peer.h"

namespace varserve::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr int64_t kMaxRequestBytes = 4096;
constexpr size_t kMaxWatchers = 1000;

CallReactor::Context ContextOf(grpc::CallbackServerContext* context, transport::OpenCalls* open_calls) {
  return {.call = context,
          .open_calls = open_calls,
          .caller = transport::AddressOf(context->peer()),
          .arrival = open_calls->clock().Now()};
}

// The name in a request.
absl::StatusOr<std::string> ReadName(const absl::StatusOr<CallReactor::Message>& message) {
  if (!message.ok()) return message.status();
  HealthCheckRequest request;
  if (!FromBytes(message->bytes, request))
    return absl::InvalidArgumentError("request: is not a grpc.health.v1.HealthCheckRequest message");
  return request.service();
}

absl::Status IsShuttingDown() { return absl::UnavailableError("server: is shutting down"); }

}  // namespace

// Sends the latest status once its reader has taken the previous one.
class HealthService::Watcher : public CallReactor {
 public:
  static std::shared_ptr<Watcher> Create(Context context) { return Own(new Watcher(std::move(context))); }

  void Watch(std::string name) { name_ = std::move(name); }
  const std::string& name() const { return name_; }

  void Tell(uint64_t version, Serving status) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      if (ended_ || version < version_) return;
      version_ = version;
      if (status == told_) {
        untold_.reset();
      } else {
        untold_ = status;
      }
    }
    Advance();
  }

 private:
  using CallReactor::CallReactor;

  bool TakeMessage(grpc::ByteBuffer& message) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!untold_.has_value()) return false;
    HealthCheckResponse response;
    response.set_status(*untold_);
    told_ = std::exchange(untold_, std::nullopt);
    message = ToBytes(response);
    return true;
  }
  void DropMessages() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { untold_.reset(); }

  std::string name_;
  uint64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<Serving> told_ ABSL_GUARDED_BY(mu_);
  std::optional<Serving> untold_ ABSL_GUARDED_BY(mu_);
};

HealthService::HealthService(transport::OpenCalls* open_calls) : open_calls_(open_calls) {
  AddRawMethod("/grpc.health.v1.Health/Check", [this](auto* context) { return Check(context); });
  AddRawMethod("/grpc.health.v1.Health/Watch", [this](auto* context) { return Watch(context); });
}

HealthService::~HealthService() = default;

HealthService::Reactor* HealthService::Check(grpc::CallbackServerContext* context) {
  const auto call = MessageReactor::Create(ContextOf(context, open_calls_));
  call->ReadOne(kMaxRequestBytes, [this, call](absl::StatusOr<CallReactor::Message> message) {
    const absl::StatusOr<std::string> name = ReadName(message);
    if (!name.ok()) return call->Abort(name.status());
    HealthCheckResponse response;
    {
      absl::MutexLock lock(&mu_);
      response.set_status(StatusOf(*name));
    }
    if (response.status() == HealthCheckResponse::SERVICE_UNKNOWN)
      return call->Abort(absl::NotFoundError("service: is not known"));
    call->Reply(response);
  });
  return call.get();
}

HealthService::Reactor* HealthService::Watch(grpc::CallbackServerContext* context) {
  const auto watcher = Watcher::Create(ContextOf(context, open_calls_));
  watcher->ReadOne(kMaxRequestBytes, [this, watcher](absl::StatusOr<CallReactor::Message> message) {
    const absl::StatusOr<std::string> name = ReadName(message);
    const absl::Status status = name.ok() ? AddWatcher(watcher, *name) : name.status();
    if (!status.ok()) return watcher->Abort(status);
    watcher->NotifyWhenCancelled([this, raw = watcher.get()] { RemoveWatcher(raw); });
  });
  return watcher.get();
}

HealthService::Serving HealthService::StatusOf(const std::string& name) const {
  const auto it = services_.find(name);
  return it == services_.end() ? HealthCheckResponse::SERVICE_UNKNOWN : it->second;
}

absl::Status HealthService::AddWatcher(const std::shared_ptr<Watcher>& watcher, const std::string& name) {
  Serving status{};
  uint64_t version = 0;
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return IsShuttingDown();
    if (watchers_.size() >= kMaxWatchers) {
      return engine::WithRetryDelay(
          absl::ResourceExhaustedError(absl::StrCat("health: ", kMaxWatchers, " watch already; use Check")),
          engine::kDefaultRetryDelay);
    }
    watcher->Watch(name);
    watchers_.emplace(watcher.get(), watcher);
    status = StatusOf(name);
    version = version_;
  }
  watcher->Tell(version, status);
  return absl::OkStatus();
}

void HealthService::RemoveWatcher(Watcher* watcher) {
  std::shared_ptr<Watcher> removed;  // destroyed after the lock is released
  absl::MutexLock lock(&mu_);
  if (auto node = watchers_.extract(watcher)) removed = std::move(node.mapped());
}

void HealthService::Set(const std::string& name, bool serving) {
  const Serving status = serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  std::vector<std::shared_ptr<Watcher>> watchers;
  uint64_t version = 0;
  {
    absl::MutexLock lock(&mu_);
    services_[name] = status;
    version = ++version_;
    for (const auto& [key, watcher] : watchers_) {
      if (watcher->name() == name) watchers.push_back(watcher);
    }
  }
  for (const auto& watcher : watchers) watcher->Tell(version, status);
}

void HealthService::EndWatches() {
  absl::flat_hash_map<Watcher*, std::shared_ptr<Watcher>> watchers;
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
    watchers.swap(watchers_);
  }
  for (const auto& [key, watcher] : watchers) watcher->End(IsShuttingDown());
}

}  // namespace varserve::rpc
