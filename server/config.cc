#include "server/config.h"

#include <absl/flags/flag.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "server/base/command_line.h"
#include "server/base/flag_values.h"
#include "server/base/status_macros.h"
#include "server/base/usable_cpus.h"
#include "server/chat/request_scan.h"
#include "server/model_flags.h"
#include "server/url_image_flags.h"
#include "server/version.h"

ABSL_FLAG(int, threads, 0,
          "Compute threads. Default: one per core (on hybrid processors, per performance core), at most the "
          "container's CPU quota");
ABSL_FLAG(std::string, memory_budget, "",
          "Memory for everything, such as 20G or 800M. Default: most of the free memory");
ABSL_FLAG(
    std::string, prefix_cache, "",
    "Limit of memory for cached prefixes, such as 2G; 0 disables the cache. Default: the unused KV cache");

ABSL_FLAG(std::string, listen, "0.0.0.0:50051",
          "Address of the gRPC server: host:port (port 0 picks a free one), or unix:PATH");
ABSL_FLAG(std::string, http_listen, "0.0.0.0:8000",
          "Address of OpenAI's API over HTTP: host:port (port 0 picks a free one), or unix:PATH; empty "
          "disables it");
ABSL_FLAG(std::string, metrics_listen, "0.0.0.0:9464",
          "host:port of /metrics for Prometheus; empty disables it");
ABSL_FLAG(
    std::string, health_listen, "",
    "host:port of a health service without TLS, for probes. Default: none; --listen serves health, too");
ABSL_FLAG(std::string, tls_cert, "",
          "PEM file with the server's certificate chain; reloaded when it changes");
ABSL_FLAG(std::string, tls_key, "", "PEM file with the private key of --tls_cert");
ABSL_FLAG(std::string, tls_client_ca, "", "PEM file; clients must show a certificate signed by it (mTLS)");
ABSL_FLAG(std::string, token_file, "",
          "File of bearer tokens, one per line: TOKEN, or NAME TOKEN; reloaded when it changes");

ABSL_FLAG(int, max_running, 0,
          "Maximum requests in the batch, plus half as many for callers that have none running. Default: 16 "
          "on a CPU, 64 on a GPU");
ABSL_FLAG(int, max_waiting, 256, "Maximum requests in the queue while the batch is full; more are rejected");
ABSL_FLAG(int64_t, max_waiting_tokens, 256 * 1024, "Maximum prompt tokens in the queue; more are rejected");
ABSL_FLAG(int, max_running_per_caller, 0,
          "Maximum requests of one caller in the batch. Default: no limit; callers take turns");
ABSL_FLAG(int, max_waiting_per_caller, 0,
          "Maximum requests of one caller in the queue; more are rejected. Default: three quarters of "
          "--max_waiting");
ABSL_FLAG(std::string, prefix_cache_scope, "shared",
          "Who can use the blocks that a request left in the prefix cache: shared (all callers), or caller "
          "(only the caller that sent it)");
ABSL_FLAG(int, prefill_budget, 0,
          "Prompt tokens computed per step in addition to decoding. Default: depends on the device");
ABSL_FLAG(int, worker_threads, 0,
          "Threads that decode images and tokenize. Default: as --threads, at most 4");
ABSL_FLAG(absl::Duration, read_timeout, absl::Seconds(60),
          "Time in which a request must arrive completely, or it is cancelled");
ABSL_FLAG(absl::Duration, write_timeout, absl::Seconds(60),
          "Time in which a caller must read each piece of an answer, or it is cancelled");
ABSL_FLAG(double, drain_seconds, 30, "Seconds that running requests have to finish after SIGTERM");
ABSL_FLAG(absl::Duration, watchdog, absl::Seconds(120),
          "Time without a finished step after which the server is unhealthy, and of failing self-tests after "
          "which it exits");
ABSL_FLAG(int, max_failed_steps, 5,
          "Failed steps in a row after which the server asks itself a test question; it takes no requests "
          "while that fails, too");

ABSL_FLAG(int, max_tokens, 2048, "Maximum tokens of an answer; requests for more get this many");
ABSL_FLAG(int, max_images, 8, "Maximum images per request");
ABSL_FLAG(std::string, max_image_bytes, "20M", "Maximum encoded size of an image");
ABSL_FLAG(int64_t, max_image_pixels, 64'000'000,
          "Maximum width times height of an image; bounds the time to decode it");
ABSL_FLAG(std::string, image_memory, "256M",
          "Memory to decode images and to hold them until their requests end; requests wait for it. An "
          "image that needs more is rejected");
ABSL_FLAG(
    std::string, image_cache, "64M",
    "Memory for processed images that a caller can name by their SHA-256 instead of sending them again; 0 "
    "disables that");
ABSL_FLAG(std::string, max_message_bytes, "64M", "Maximum size of a request");
ABSL_FLAG(std::string, receive_memory, "256M",
          "Memory for requests that arrive or wait to be parsed; at least --max_message_bytes");
ABSL_FLAG(std::string, max_map_bytes, "2M",
          "Maximum size of the attention maps in one reply; with more than 2M a reply can exceed the 4 MiB "
          "that gRPC clients accept");
ABSL_FLAG(int, max_concurrent_streams, 1000, "Maximum concurrent calls on one connection");
ABSL_FLAG(int, max_connections, 1000,
          "Maximum connections; one more replaces the idlest connection of the address with the most");
ABSL_FLAG(absl::Duration, max_connection_idle, absl::Minutes(15),
          "Time after which a connection without calls is closed");
ABSL_FLAG(absl::Duration, max_connection_age, absl::Minutes(30),
          "Time after which a connection takes no new calls; its client opens another");
ABSL_FLAG(absl::Duration, max_connection_age_grace, absl::Hours(1),
          "Time after --max_connection_age at which a connection is closed, even with calls");

ABSL_FLAG(std::string, var_mode, "off", "VAR mode of requests that set none: off, observe or on");
ABSL_FLAG(std::string, var_preset, "general",
          "VAR preset of requests that set none: general, hallucination or vision_centric");

ABSL_FLAG(std::string, log_format, "text", "Format of the log: text or json");
ABSL_FLAG(std::string, log_level, "info", "Lowest level that is logged: info, warning or error");

namespace varserve {
namespace {

constexpr int kMostThreads = 1024;
constexpr int kMostRunning = 4096;
constexpr int64_t kLeastMessageBytes = 4096;     // a question
constexpr int64_t kLeastImageMemory = 64 << 20;  // any format of a few megapixels

absl::Status ReadVarFlags(ServerConfig& c) {
  using interventions::kModeNames;
  ASSIGN_OR_RETURN(const int mode, FlagChoice("var_mode", absl::GetFlag(FLAGS_var_mode),
                                              {kModeNames.begin(), kModeNames.end()}));
  std::vector<std::string> presets;
  for (const interventions::VarPresetRow& preset : interventions::kVarPresets) {
    presets.emplace_back(preset.name);
  }
  ASSIGN_OR_RETURN(const int preset,
                   FlagChoice("var_preset", absl::GetFlag(FLAGS_var_preset), std::move(presets)));
  c.var_mode = static_cast<interventions::Mode>(mode);
  c.var_preset = static_cast<interventions::VarPreset>(preset);
  return absl::OkStatus();
}

absl::Status ReadLimitFlags(ServerConfig& c) {
  RETURN_IF_ERROR(FlagAtLeast("max_tokens", absl::GetFlag(FLAGS_max_tokens), 1));
  RETURN_IF_ERROR(FlagAtLeast("max_images", absl::GetFlag(FLAGS_max_images), 1));
  RETURN_IF_ERROR(FlagAtLeast("max_image_pixels", absl::GetFlag(FLAGS_max_image_pixels), 1));
  c.limits.set_max_tokens(static_cast<uint32_t>(absl::GetFlag(FLAGS_max_tokens)));
  c.limits.set_max_images(static_cast<uint32_t>(absl::GetFlag(FLAGS_max_images)));
  c.limits.set_max_image_pixels(static_cast<uint64_t>(absl::GetFlag(FLAGS_max_image_pixels)));
  ASSIGN_OR_RETURN(const int64_t image_bytes,
                   FlagBytes("max_image_bytes", absl::GetFlag(FLAGS_max_image_bytes)));
  ASSIGN_OR_RETURN(const int64_t message_bytes,
                   FlagBytes("max_message_bytes", absl::GetFlag(FLAGS_max_message_bytes)));
  ASSIGN_OR_RETURN(const int64_t map_bytes, FlagBytes("max_map_bytes", absl::GetFlag(FLAGS_max_map_bytes)));
  if (message_bytes > std::numeric_limits<int32_t>::max())
    return InvalidFlag("max_message_bytes", "is over 2G");
  RETURN_IF_ERROR(FlagAtLeast("max_message_bytes", message_bytes, kLeastMessageBytes));
  RETURN_IF_ERROR(FlagAtLeast("max_image_bytes", image_bytes, 1));
  c.limits.set_max_image_bytes(static_cast<uint64_t>(image_bytes));
  c.limits.set_max_message_bytes(static_cast<uint64_t>(message_bytes));
  c.limits.set_max_map_bytes(static_cast<uint64_t>(map_bytes));
  c.limits.set_max_settings(chat::kMaxSettings);
  c.limits.set_max_messages(chat::RequestLimits::kMaxMessages);
  c.limits.set_max_parts(chat::RequestLimits::kMaxParts);

  RETURN_IF_ERROR(FlagInRange("max_running", absl::GetFlag(FLAGS_max_running), 0, kMostRunning));
  RETURN_IF_ERROR(FlagAtLeast("max_waiting", absl::GetFlag(FLAGS_max_waiting), 0));
  RETURN_IF_ERROR(FlagAtLeast("max_waiting_tokens", absl::GetFlag(FLAGS_max_waiting_tokens), 0));
  RETURN_IF_ERROR(FlagAtLeast("max_running_per_caller", absl::GetFlag(FLAGS_max_running_per_caller), 0));
  RETURN_IF_ERROR(FlagAtLeast("max_waiting_per_caller", absl::GetFlag(FLAGS_max_waiting_per_caller), 0));
  RETURN_IF_ERROR(FlagAtLeast("prefill_budget", absl::GetFlag(FLAGS_prefill_budget), 0));
  c.scheduler.max_running = absl::GetFlag(FLAGS_max_running);
  if (absl::GetFlag(FLAGS_prefill_budget) > 0)
    c.scheduler.prefill_budget = absl::GetFlag(FLAGS_prefill_budget);
  c.queue.max_waiting = absl::GetFlag(FLAGS_max_waiting);
  c.queue.max_waiting_tokens = absl::GetFlag(FLAGS_max_waiting_tokens);
  c.scheduler.max_running_per_caller = absl::GetFlag(FLAGS_max_running_per_caller);
  if (const int limit = absl::GetFlag(FLAGS_max_waiting_per_caller); limit > 0)
    c.queue.max_waiting_per_caller = limit;
  const std::string scope = absl::GetFlag(FLAGS_prefix_cache_scope);
  if (scope != "shared" && scope != "caller")
    return InvalidFlag("prefix_cache_scope", absl::StrCat("\"", scope, "\" is not shared or caller"));
  if (scope == "caller") c.prefix_cache_scope = engine::PrefixCacheScope::kCaller;
  if (const std::string text = absl::GetFlag(FLAGS_memory_budget); !text.empty()) {
    ASSIGN_OR_RETURN(c.memory_budget, FlagBytes("memory_budget", text));
  }
  ASSIGN_OR_RETURN(c.image_memory, FlagBytes("image_memory", absl::GetFlag(FLAGS_image_memory)));
  RETURN_IF_ERROR(FlagAtLeast("image_memory", c.image_memory, kLeastImageMemory));
  ASSIGN_OR_RETURN(c.image_cache, FlagBytes("image_cache", absl::GetFlag(FLAGS_image_cache)));
  if (const std::string text = absl::GetFlag(FLAGS_prefix_cache); !text.empty()) {
    ASSIGN_OR_RETURN(c.prefix_cache_bytes, FlagBytes("prefix_cache", text));
  }
  return absl::OkStatus();
}

absl::Status ReadConnectionFlags(ServerConfig& c) {
  c.grpc.listen = absl::GetFlag(FLAGS_listen);
  c.grpc.tls.cert = absl::GetFlag(FLAGS_tls_cert);
  c.grpc.tls.key = absl::GetFlag(FLAGS_tls_key);
  c.grpc.tls.client_ca = absl::GetFlag(FLAGS_tls_client_ca);
  c.token_file = absl::GetFlag(FLAGS_token_file);
  RETURN_IF_ERROR(FlagAtLeast("max_concurrent_streams", absl::GetFlag(FLAGS_max_concurrent_streams), 1));
  RETURN_IF_ERROR(FlagAtLeast("max_connections", absl::GetFlag(FLAGS_max_connections), 1));
  c.grpc.max_concurrent_streams = absl::GetFlag(FLAGS_max_concurrent_streams);
  c.grpc.max_connections = absl::GetFlag(FLAGS_max_connections);
  ASSIGN_OR_RETURN(c.receive_memory, FlagBytes("receive_memory", absl::GetFlag(FLAGS_receive_memory)));
  RETURN_IF_ERROR(
      FlagAtLeast("receive_memory", c.receive_memory, static_cast<int64_t>(c.limits.max_message_bytes())));
  c.http.listen = absl::GetFlag(FLAGS_http_listen);
  c.http.tls = c.grpc.tls;
  c.http.max_connections = c.grpc.max_connections;
  c.http.other_files = c.grpc.max_connections;
  if (!c.http.listen.empty()) c.grpc.other_files = c.http.max_connections;
  const std::pair<absl::string_view, absl::Duration> durations[] = {
      {"read_timeout", c.read_timeout = absl::GetFlag(FLAGS_read_timeout)},
      {"write_timeout", c.write_timeout = absl::GetFlag(FLAGS_write_timeout)},
      {"max_connection_idle", c.grpc.max_connection_idle = absl::GetFlag(FLAGS_max_connection_idle)},
      {"max_connection_age", c.grpc.max_connection_age = absl::GetFlag(FLAGS_max_connection_age)},
      {"max_connection_age_grace",
       c.grpc.max_connection_age_grace = absl::GetFlag(FLAGS_max_connection_age_grace)}};
  for (const auto& [flag, duration] : durations) {
    if (duration <= absl::ZeroDuration()) return InvalidFlag(flag, "is not greater than 0");
  }
  c.http.connection = {.max_body_bytes = c.limits.max_message_bytes(),
                       .head_timeout = c.read_timeout,
                       .reply_timeout = c.write_timeout,
                       .max_idle = c.grpc.max_connection_idle,
                       .max_age = c.grpc.max_connection_age};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ServerConfig> ReadCommandLine(int argc, char** argv) {
  RETURN_IF_ERROR(
      ReadFlags({.name = "varserve-server",
                 .version = kVersion,
                 .usage = "Serves a vision-language model (LLaVA, Qwen-VL, InternVL, ...) over gRPC and HTTP "
                          "with Visual Attention Redistribution (VAR) as a per-request option.\n"
                          "  varserve-server --model DIR [FLAG...]",
                 .flags_files = {"server/config.cc", "server/model_flags.cc", "server/url_image_flags.cc"}},
                argc, argv));
  ServerConfig c;
  RETURN_IF_ERROR(ReadModelFlags(c));
  RETURN_IF_ERROR(ReadVarFlags(c));
  RETURN_IF_ERROR(ReadLimitFlags(c));
  RETURN_IF_ERROR(ReadConnectionFlags(c));
  RETURN_IF_ERROR(ReadUrlImageFlags(c));
  RETURN_IF_ERROR(FlagInRange("threads", absl::GetFlag(FLAGS_threads), 0, kMostThreads));
  RETURN_IF_ERROR(FlagInRange("worker_threads", absl::GetFlag(FLAGS_worker_threads), 0, kMostThreads));
  c.threads = absl::GetFlag(FLAGS_threads) > 0 ? absl::GetFlag(FLAGS_threads) : UsableCpus();
  c.worker_threads =
      absl::GetFlag(FLAGS_worker_threads) > 0 ? absl::GetFlag(FLAGS_worker_threads) : std::min(c.threads, 4);
  c.grpc.health_listen = absl::GetFlag(FLAGS_health_listen);
  c.metrics_listen = absl::GetFlag(FLAGS_metrics_listen);
  c.drain = absl::Seconds(absl::GetFlag(FLAGS_drain_seconds));
  c.watchdog = absl::GetFlag(FLAGS_watchdog);
  RETURN_IF_ERROR(FlagAtLeast("max_failed_steps", absl::GetFlag(FLAGS_max_failed_steps), 1));
  c.max_failed_steps = absl::GetFlag(FLAGS_max_failed_steps);
  if (c.watchdog <= absl::ZeroDuration()) return InvalidFlag("watchdog", "is not greater than 0");
  if (!(absl::GetFlag(FLAGS_drain_seconds) >= 0)) return InvalidFlag("drain_seconds", "is less than 0");
  c.log_format = absl::GetFlag(FLAGS_log_format);
  c.log_level = absl::GetFlag(FLAGS_log_level);
  return c;
}

}  // namespace varserve
