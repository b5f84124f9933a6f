#include "server/grpc/probe_server.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>

#include "absl/memory/memory.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/base/status_macros.h"
#include "server/grpc/pass_connections.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::rpc {
namespace {

// A probe is a few bytes on its own connection.
constexpr int kMostThreads = 4;
constexpr int kMostBytes = 8 << 20;
constexpr int kMostMessageBytes = 4096;
constexpr int kMostIdleMs = 60'000;
constexpr int kMostConnections = 64;

}  // namespace

class ProbeServer::Service : public grpc::health::v1::Health::Service {
 public:
  grpc::Status Check(grpc::ServerContext* /*context*/, const grpc::health::v1::HealthCheckRequest* request,
                     grpc::health::v1::HealthCheckResponse* response) override {
    using Response = grpc::health::v1::HealthCheckResponse;
    const bool named = request->service() == v1::VisionLanguage::service_full_name();
    if (!named && !request->service().empty()) return {grpc::StatusCode::NOT_FOUND, "service: is not known"};
    response->set_status((named ? ready_ : live_) ? Response::SERVING : Response::NOT_SERVING);
    return grpc::Status::OK;
  }

  void Set(bool live, bool ready) {
    live_ = live;
    ready_ = ready;
  }

 private:
  std::atomic<bool> live_ = false;
  std::atomic<bool> ready_ = false;
};

ProbeServer::ProbeServer() : service_(std::make_unique<Service>()) {}

ProbeServer::~ProbeServer() {
  if (acceptor_ != nullptr) acceptor_->Stop();
  if (server_ != nullptr) server_->Shutdown(absl::ToChronoTime(absl::Now()));
}

absl::StatusOr<std::unique_ptr<ProbeServer>> ProbeServer::Start(const std::string& listen) {
  auto result = absl::WrapUnique(new ProbeServer());
  ASSIGN_OR_RETURN(result->acceptor_,
                   transport::ConnectionAcceptor::Listen("health_listen", listen, kMostConnections));
  grpc::ServerBuilder builder;
  result->connections_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  // Disables gRPC's own health service.
  builder.SetOption(std::make_unique<grpc::HealthCheckServiceServerBuilderOption>(nullptr));
  builder.RegisterService(result->service_.get());
  grpc::ResourceQuota quota;
  builder.SetResourceQuota(quota.Resize(kMostBytes).SetMaxThreads(kMostThreads));
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder.SetMaxReceiveMessageSize(kMostMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMostIdleMs);
  result->server_ = builder.BuildAndStart();
  if (result->server_ == nullptr) return absl::UnavailableError("--health_listen: gRPC could not be started");
  PassConnections(*result->acceptor_, result->connections_.get());
  return result;
}

void ProbeServer::SetHealth(bool live, bool ready) { service_->Set(live, ready); }

}  // namespace varserve::rpc
