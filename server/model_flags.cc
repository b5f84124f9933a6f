#include "server/model_flags.h"

#include <absl/flags/flag.h>
#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "server/backend/table/instruction_set.h"
#include "server/base/flag_values.h"
#include "server/base/status_macros.h"
#include "server/openai/model_names.h"

ABSL_FLAG(
    std::string, model, "",
    "Hugging Face directory of a LLaVA, LLaVA-NeXT, LLaVA-OneVision, VILA, InternVL, SmolVLM or Qwen-VL "
    "(2, 2.5, 3) model. Default: $VARSERVE_MODEL");
ABSL_FLAG(std::string, model_name, "", "Name in replies and metrics. Default: the directory's name");
ABSL_FLAG(std::string, device, "auto", "auto, cpu, cuda or cuda:N");
ABSL_FLAG(
    std::string, backend, "auto",
    "Implementation of the model's operations: auto, cpu, cuda or torch. cuda: kernels for NVIDIA GPUs, "
    "not yet run on one. Default: cpu on a CPU, torch on a GPU");
ABSL_FLAG(
    std::string, isa, "auto",
    "Instruction set of the CPU's kernels: baseline, avx2, avx512, avx512_bf16 or amx_bf16. Default: the "
    "fastest that the processor has");
ABSL_FLAG(
    bool, enforce_eager, false,
    "Launch every kernel of a decoding step separately instead of as one graph (only --backend cuda has "
    "graphs)");
ABSL_FLAG(int32_t, max_image_tokens, 0,
          "The most visual tokens of an image; larger pictures are scaled down. For models whose images "
          "differ in size. Default: what the model directory allows");
ABSL_FLAG(int32_t, max_model_len, 0,
          "The most tokens of prompt and answer together, for which memory is planned. Default: the model's "
          "max_position_embeddings");
ABSL_FLAG(std::string, dtype, "auto", "Type of weights and KV cache: auto, float32, bfloat16 or float16");
ABSL_FLAG(
    std::string, quantize, "none",
    "Quantize the decoder's weights as they are loaded: none, int8 or int4, in groups of inputs with a scale "
    "each. The vocabulary's stay int8. For the backends cpu and cuda; torch computes with the rounded "
    "weights in --dtype");

ABSL_FLAG(std::vector<std::string>, sink_dimensions, {},
          "Sink dimensions of the VAR profile, such as 1415,2533; varserve-calibrate finds them");
ABSL_FLAG(double, tau, 0, "Sink threshold of the VAR profile. Default: the profile's");

namespace varserve {

absl::Status ReadModelFlags(ServerConfig& c) {
  c.model.model_dir = absl::GetFlag(FLAGS_model);
  if (c.model.model_dir.empty()) {
    const char* from_environment = std::getenv("VARSERVE_MODEL");
    if (from_environment == nullptr)
      return InvalidFlag("model", "is missing; give the directory of the model to serve");
    c.model.model_dir = from_environment;
  }
  RETURN_IF_ERROR(FlagDirectory("model", c.model.model_dir, "config.json"));
  c.model.device = absl::GetFlag(FLAGS_device);
  c.model.max_image_tokens = absl::GetFlag(FLAGS_max_image_tokens);
  if (c.model.max_image_tokens < 0) return InvalidFlag("max_image_tokens", "is negative");
  c.model.max_model_len = absl::GetFlag(FLAGS_max_model_len);
  if (c.model.max_model_len < 0) return InvalidFlag("max_model_len", "is negative");
  c.model.dtype = absl::GetFlag(FLAGS_dtype);
  ASSIGN_OR_RETURN(const int backend,
                   FlagChoice("backend", absl::GetFlag(FLAGS_backend),
                              {backend::kBackendNames.begin(), backend::kBackendNames.end()}));
  c.model.backend = static_cast<backend::BackendKind>(backend);
  c.enforce_eager = absl::GetFlag(FLAGS_enforce_eager);
  ASSIGN_OR_RETURN(c.kernels, backend::KernelsFor(absl::GetFlag(FLAGS_isa), backend::cpu::InstructionSets()));
  constexpr int kBits[] = {0, 8, 4};
  ASSIGN_OR_RETURN(const int quantize,
                   FlagChoice("quantize", absl::GetFlag(FLAGS_quantize), {"none", "int8", "int4"}));
  c.model.quantize_bits = kBits[quantize];
  c.model_name = absl::GetFlag(FLAGS_model_name);
  if (c.model_name.empty()) {
    const std::filesystem::path path = std::filesystem::weakly_canonical(c.model.model_dir);
    c.model_name = path.filename().string();
  }
  if (const std::string problem = openai::NameProblem(c.model_name); !problem.empty())
    return InvalidFlag("model_name",
                       absl::StrCat("\"", absl::CHexEscape(c.model_name.substr(0, 256)), "\" ", problem));
  for (const std::string& text : absl::GetFlag(FLAGS_sink_dimensions)) {
    int32_t dimension = 0;
    if (!absl::SimpleAtoi(text, &dimension))
      return InvalidFlag("sink_dimensions", absl::StrCat("\"", text, "\" is not a number"));
    c.model.var_profile.sink_dimensions.push_back(dimension);
  }
  if (const double tau = absl::GetFlag(FLAGS_tau); tau != 0) {
    if (!(tau > 0 && tau <= interventions::kMostTau))
      return InvalidFlag("tau", absl::StrCat(tau, " is not in (0, ", interventions::kMostTau, "]"));
    c.model.var_profile.tau = static_cast<float>(tau);
  }
  return absl::OkStatus();
}

}  // namespace varserve
