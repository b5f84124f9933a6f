// The server's command line, read and checked once. Plain data.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/backend/cpu/cpu_kernels.h"
#include "server/chat/request_options.h"
#include "server/engine/engine.h"
#include "server/grpc/grpc_server.h"
#include "server/http/http_server.h"
#include "server/interventions/var/settings.h"
#include "server/model/vision_language_model.h"

namespace varserve {

struct ServerConfig {
  model::VisionLanguageModel::Options model;
  std::string model_name;
  int threads = 1;
  const backend::cpu::CpuKernels* kernels = nullptr;
  bool enforce_eager = false;       // see StepRunnerOptions
  int64_t memory_budget = 0;        // bytes; 0: what is free
  int64_t prefix_cache_bytes = -1;  // -1: whatever of the KV pool is not in use

  rpc::GrpcServerOptions grpc;
  http::HttpServerOptions http;  // no `listen`: no HTTP
  std::string metrics_listen;    // empty: no metrics
  std::string token_file;
  int worker_threads = 2;
  int64_t receive_memory = 0;  // bytes
  absl::Duration read_timeout;
  int64_t image_memory = 256 << 20;  // bytes for decoding pictures and for those of all requests
  int64_t image_cache = 64 << 20;    // bytes of pictures that callers can name, see ImageCache
  chat::UrlImages::Options url_images;
  absl::Duration write_timeout;
  absl::Duration drain;
  absl::Duration watchdog;
  int max_failed_steps = 5;

  engine::SchedulerOptions scheduler;
  engine::QueueLimits queue;
  engine::PrefixCacheScope prefix_cache_scope = engine::PrefixCacheScope::kShared;
  v1::Model::Limits limits;
  interventions::Mode var_mode = interventions::Mode::kOff;
  interventions::VarPreset var_preset = interventions::VarPreset::kGeneral;

  std::string log_format;
  std::string log_level;
};

// Messages name the flag.
absl::StatusOr<ServerConfig> ReadCommandLine(int argc, char** argv);

}  // namespace varserve
