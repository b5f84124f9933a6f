// gRPC's health service (grpc.health.v1). Needs no token. Must outlive its calls. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.pb.h"
#include "server/grpc/raw_service.h"
#include "server/transport/open_calls.h"

namespace varserve::rpc {

class HealthService : public RawService {
 public:
  explicit HealthService(transport::OpenCalls* open_calls);
  ~HealthService() override;

  // Sets whether the service `name` is serving, and notifies its watchers.
  void Set(const std::string& name, bool serving) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends every watch, including later ones.
  void EndWatches() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Serving = grpc::health::v1::HealthCheckResponse::ServingStatus;
  class Watcher;

  Reactor* Check(grpc::CallbackServerContext* context);
  Reactor* Watch(grpc::CallbackServerContext* context);
  Serving StatusOf(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status AddWatcher(const std::shared_ptr<Watcher>& watcher, const std::string& name)
      ABSL_LOCKS_EXCLUDED(mu_);
  void RemoveWatcher(Watcher* watcher) ABSL_LOCKS_EXCLUDED(mu_);

  transport::OpenCalls* const open_calls_;
  mutable absl::Mutex mu_;
  std::map<std::string, Serving> services_ ABSL_GUARDED_BY(mu_);
  uint64_t version_ ABSL_GUARDED_BY(mu_) = 0;  // of services_
  absl::flat_hash_map<Watcher*, std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace varserve::rpc
