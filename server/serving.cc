#include "server/serving.h"

#include <ATen/Parallel.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/backend/table/instruction_set.h"
#include "server/base/status_macros.h"
#include "server/loader/model_loader.h"
#include "server/model/device.h"
#include "server/model/finite_weights.h"
#include "server/model/kv_cache.h"
#include "server/model/memory_plan.h"
#include "server/model/prefill_budget.h"
#include "server/version.h"
#include "server/warm_up.h"

namespace varserve {
namespace {

v1::Model Describe(const ServerConfig& config, const model::VisionLanguageModel& m,
                   const chat::Preprocessor& preprocessor) {
  const model::DecoderConfig& d = m.config().decoder;
  v1::Model description;
  description.set_name(config.model_name);
  description.set_dtype(model::DtypeName(m.dtype()));
  description.set_quantization(m.quantization());
  description.set_device(m.device().str());
  description.set_instruction_set(config.kernels->name);
  description.set_server_version(kVersion);
  v1::Model::Decoder& decoder = *description.mutable_decoder();
  decoder.set_layers(static_cast<uint32_t>(d.num_hidden_layers));
  decoder.set_width(static_cast<uint32_t>(d.hidden_size));
  decoder.set_heads(static_cast<uint32_t>(d.num_attention_heads));
  decoder.set_kv_heads(static_cast<uint32_t>(d.num_key_value_heads));
  decoder.set_head_dim(static_cast<uint32_t>(d.head_dim));
  decoder.set_vocabulary(static_cast<uint32_t>(d.vocab_size));
  decoder.set_context(static_cast<uint32_t>(d.max_position_embeddings));
  v1::Model::VisionTower& tower = *description.mutable_vision_tower();
  tower.set_kind(m.config().vision.name());
  const image::ImageShape image = preprocessor.image_processor().largest();
  const int token_size = m.config().vision.patch_size * m.config().vision.merge_size;  // pixels
  const bool tiled = image.tiles > 1;
  tower.set_image_height(static_cast<uint32_t>(tiled ? image.layout->rows * token_size : image.height));
  tower.set_image_width(static_cast<uint32_t>(tiled ? image.layout->cols * token_size : image.width));
  tower.set_patch_size(static_cast<uint32_t>(m.config().vision.patch_size));
  tower.set_visual_tokens(static_cast<uint32_t>(image.layout->num_visual_tokens()));
  tower.set_rows(static_cast<uint32_t>(image.layout->rows));
  tower.set_columns(static_cast<uint32_t>(image.layout->cols));
  description.set_chat_template(preprocessor.chat_template().source());
  *description.mutable_limits() = config.limits;
  if (m.var_profile().has_value()) {
    v1::VarProfile& profile = *description.mutable_var_profile();
    for (const int32_t dimension : m.var_profile()->sink_dimensions) {
      profile.add_sink_dimensions(static_cast<uint32_t>(dimension));
    }
    profile.set_tau(m.var_profile()->tau);
    profile.set_source(m.var_profile()->source);
    profile.set_decoder(m.var_profile()->decoder);
  }
  return description;
}

// Equal only for models that compute the same K and V.
Digest Fingerprint(const ServerConfig& config, const model::VisionLanguageModel& m) {
  const std::string text = absl::StrCat(config.model.model_dir, "|", m.device().str(), "|",
                                        model::DtypeName(m.dtype()), "|", m.quantization());
  return Sha256({text});
}

// With what the flags leave to the model.
engine::SchedulerOptions SchedulerFor(const model::VisionLanguageModel& m, const ServerConfig& config) {
  engine::SchedulerOptions scheduler = config.scheduler;
  if (scheduler.max_running == 0) scheduler.max_running = m.device().is_cpu() ? 16 : 64;
  scheduler.reserved_running = scheduler.max_running / 2;
  if (!scheduler.prefill_budget.has_value()) {
    const model::PrefillBudget budget = model::MeasurePrefillBudget(m);
    scheduler.prefill_budget = budget.busy;
    scheduler.idle_prefill_budget = budget.idle;
  }
  return scheduler;
}

absl::StatusOr<model::MemoryPlan> PlanMemory(const model::VisionLanguageModel& m, const ServerConfig& config,
                                             const engine::SchedulerOptions& scheduler) {
  const model::RequestLimits limits{
      .max_running = scheduler.max_running,
      .reserved_running = scheduler.reserved_running,
      .prefill_budget = scheduler.idle_prefill_budget.value_or(*scheduler.prefill_budget),
      .worker_threads = config.worker_threads,
      .image_memory = config.image_memory,
      .image_cache = config.image_cache,
      .receive_memory = config.receive_memory + config.url_images.memory,
      .max_message_bytes = static_cast<int64_t>(config.limits.max_message_bytes()),
      .max_map_bytes = static_cast<int64_t>(config.limits.max_map_bytes())};
  return model::PlanMemory(model::MeasureNeeds(m, limits, config.memory_budget));
}

void LogMemory(const model::MemoryPlan& plan, const ServerConfig& config, telemetry::Logger& logger) {
  logger.Info("memory planned", {{"budget_bytes", plan.needs.budget},
                                 {"weights_bytes", plan.needs.weights},
                                 {"vision_tower_bytes", plan.needs.vision_tower},
                                 {"step_bytes", plan.needs.step},
                                 {"image_bytes", plan.needs.images},
                                 {"request_bytes", plan.needs.requests},
                                 {"reply_bytes", plan.needs.replies},
                                 {"evidence_bytes", plan.evidence()},
                                 {"kv_cache_bytes", plan.num_blocks * plan.needs.block},
                                 {"kv_cache_tokens", plan.num_blocks * model::KvCache::kBlockSize}});
  if (config.log_format == "text") logger.Info(absl::StrCat("memory\n", plan.ToTable()));
}

engine::EngineOptions EngineFor(const model::StepRunner& runner, const ServerConfig& config,
                                const engine::SchedulerOptions& scheduler) {
  engine::EngineOptions options{.scheduler = scheduler,
                                .queue = config.queue,
                                .prefix_cache_scope = config.prefix_cache_scope,
                                .model_fingerprint = Fingerprint(config, runner.model())};
  if (config.prefix_cache_bytes >= 0) {
    options.scheduler.prefix_cache_blocks =
        static_cast<int>(config.prefix_cache_bytes / runner.facts().block_bytes);
  }
  return options;
}

// Defaults for requests that set no intervention. Adds them to the model's description.
absl::StatusOr<interventions::Defaults> DefaultsFor(const model::VisionLanguageModel& m,
                                                    const ServerConfig& config, v1::Model& description) {
  interventions::Defaults defaults;
  defaults.var = {.mode = config.var_mode,
                  .preset = config.var_preset,
                  .profile_tau = std::nullopt,
                  .num_layers = m.config().decoder.num_hidden_layers};
  if (m.var_profile().has_value()) defaults.var.profile_tau = m.var_profile()->tau;
  defaults.attention.num_layers = m.config().decoder.num_hidden_layers;
  defaults.attention.num_heads = m.config().decoder.num_attention_heads;
  if (!DescribeDefaults(defaults, description).ok())
    return absl::FailedPreconditionError(
        "--var_mode: this model has no VAR profile, only off works; make one with varserve-calibrate --model "
        "DIR");
  return defaults;
}

// Where the model itself fails, its weights may say why.
absl::Status WarmUpOrBlameWeights(std::shared_ptr<const Prompt> question, const ServerConfig& config,
                                  model::StepRunner& runner) {
  const absl::Status status = WarmUp(std::move(question), runner);
  if (absl::IsInternal(status))
    RETURN_IF_ERROR(model::CheckWeightsAreFinite(config.model.model_dir, runner.model()));
  return status;
}

void LogRefusedInstructions(telemetry::Logger& logger) {
  for (const backend::cpu::InstructionSet& set : backend::cpu::InstructionSets()) {
    if (set.refused)
      logger.Warning(absl::StrCat(backend::Refusal(set), "; computing on the CPU is slower without"));
  }
}

model::StepRunnerOptions RunnerOptions(const ServerConfig& config, telemetry::Logger& logger) {
  return {.enforce_eager = config.enforce_eager, .on_graph_failure = [&logger](absl::string_view why) {
            logger.Warning(absl::StrCat(why, "; decoding is slower without"));
          }};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Serving>> Serving::Load(const ServerConfig& config, const Clock* clock,
                                                       telemetry::Metrics* metrics,
                                                       telemetry::Logger* logger) {
  const absl::Time start = absl::Now();
  at::set_num_threads(config.threads);
  backend::cpu::UseCpuKernels(*config.kernels);
  auto serving = absl::WrapUnique(new Serving());
  ASSIGN_OR_RETURN(LoadedModel files, LoadModel(config.model));
  serving->preprocessor_ = std::move(files.preprocessor);

  engine::SchedulerOptions scheduler = SchedulerFor(*files.model, config);
  ASSIGN_OR_RETURN(const model::MemoryPlan plan, PlanMemory(*files.model, config, scheduler));
  LogMemory(plan, config, *logger);
  scheduler.reserved_blocks = static_cast<int>(plan.reserved_blocks());
  ASSIGN_OR_RETURN(serving->runner_,
                   model::StepRunner::Create(std::move(files.model), static_cast<int>(plan.num_blocks),
                                             RunnerOptions(config, *logger)));

  const absl::Time loaded_at = absl::Now();
  ASSIGN_OR_RETURN(serving->self_test_question_,
                   GreyQuestion(*serving->preprocessor_, serving->runner_->facts().context));
  RETURN_IF_ERROR(WarmUpOrBlameWeights(serving->self_test_question_, config, *serving->runner_));
  if (serving->runner_->model().device().is_cpu()) LogRefusedInstructions(*logger);

  const model::VisionLanguageModel& m = serving->runner_->model();
  v1::Model description = Describe(config, m, *serving->preprocessor_);
  metrics->OnModelLoaded({.dtype = description.dtype(),
                          .device = description.device(),
                          .num_layers = m.config().decoder.num_hidden_layers});
  serving->engine_ = std::make_unique<engine::Engine>(EngineFor(*serving->runner_, config, scheduler),
                                                      serving->runner_.get(), metrics, clock);
  ASSIGN_OR_RETURN(const interventions::Defaults defaults, DefaultsFor(m, config, description));
  serving->model_ = std::make_shared<chat::ServingModel>(
      chat::ServingModel{.engine = serving->engine_.get(),
                         .preprocessor = serving->preprocessor_.get(),
                         .description = description,
                         .intervention_defaults = defaults,
                         .services = {.tokenizer = &serving->preprocessor_->tokenizer(),
                                      .metrics = metrics,
                                      .logger = logger,
                                      .clock = clock,
                                      .model_name = config.model_name,
                                      .max_map_bytes = static_cast<int64_t>(config.limits.max_map_bytes())}});

  logger->Info(
      "model loaded",
      {{"model", config.model_name},
       {"dtype", description.dtype()},
       {"device", description.device()},
       {"instruction_set", description.instruction_set()},
       {"threads", static_cast<int64_t>(config.threads)},
       {"prefill_budget", static_cast<int64_t>(*scheduler.prefill_budget)},
       {"load_seconds", absl::ToDoubleSeconds(loaded_at - start)},
       {"warm_up_seconds", absl::ToDoubleSeconds(absl::Now() - loaded_at)},
       {"var_profile", description.has_var_profile() ? description.var_profile().source() : "none"}});
  return serving;
}

}  // namespace varserve
