// varserve-calibrate: finds a model's VAR profile and writes it.
#include <ATen/Parallel.h>
#include <absl/flags/flag.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/backend/gpu_settings.h"
#include "server/base/command_line.h"
#include "server/base/flag_values.h"
#include "server/base/status_macros.h"
#include "server/base/usable_cpus.h"
#include "server/loader/model_loader.h"
#include "server/model/device.h"
#include "server/model/var_profile.h"
#include "server/version.h"
#include "tools/calibrate/calibrate.h"
#include "tools/calibrate/profile_file.h"
#include "tools/calibrate/prompts.h"
#include "tools/calibrate/report.h"

ABSL_FLAG(std::string, model, "", "Hugging Face LLaVA directory");
ABSL_FLAG(std::string, images, "", "Folder of pictures to use. Default: pictures that the tool draws");
ABSL_FLAG(std::string, prompts, "",
          "File of questions about them, one per line. Default: built-in questions");
ABSL_FLAG(std::string, out, "",
          "File to write the profile to. Default: MODEL/var_profile.json, where the server reads it");
ABSL_FLAG(std::string, device, "auto", "auto, cpu, cuda or cuda:N");
ABSL_FLAG(std::string, dtype, "auto", "Type of the weights: auto, float32, bfloat16 or float16");
ABSL_FLAG(int, threads, 0,
          "Compute threads. Default: one for each core (of hybrid processors, performance core), at most the "
          "container's CPU quota");
ABSL_FLAG(bool, json, false, "Print all numbers as JSON instead of tables");

namespace varserve::calibrate {
namespace {

constexpr int kHistogramColumns = 60;
constexpr int kExitFound = 0;
constexpr int kExitNoSinks = 1;
constexpr int kExitError = 2;

void ShowProgress(int done, int of) {
  if (isatty(STDERR_FILENO) == 0) return;
  absl::FPrintF(stderr, "\rrun %d of %d%s", done, of, done == of ? "\n" : "");
}

void PrintTables(const Findings& findings, const std::optional<model::VarProfile>& published) {
  const Calibration& c = *findings.calibration;
  absl::PrintF("%s\n%s\n%s\n", VoteTable(findings.votes), LayerTable(c),
               PhiHistogram(c, findings.observations, kHistogramColumns));
  absl::PrintF("sink dimensions  %s\n", absl::StrJoin(c.sink_dimensions, ", "));
  absl::PrintF(
      "tau              %.1f; from %.1f to %.1f would do; it parts the sinks of %.0f%% of layers and "
      "prompts\n",
      c.threshold.tau, c.threshold.range.low, c.threshold.range.high, 100.0 * c.threshold.agreed);
  absl::PrintF("layers           %d to %d have sinks\n", c.first_layer, c.last_layer);
  absl::PrintF("precision        %.0f%% of the sinks get %.0f times an even share of attention or more\n",
               100.0 * c.agreement.precision(), kHighAttention);
  absl::PrintF("recall           %.0f%% of the tokens that get so much are sinks\n",
               100.0 * c.agreement.recall());
  if (published.has_value()) {
    absl::PrintF("published        %s, tau %.1f for a decoder of this shape (%s)\n",
                 absl::StrJoin(published->sink_dimensions, ", "), published->tau, published->decoder);
  }
}

// Returns the model directory.
absl::StatusOr<std::string> ReadCommandLine(int argc, char** argv) {
  RETURN_IF_ERROR(ReadFlags(
      {.name = "varserve-calibrate",
       .version = kVersion,
       .usage = "Finds the sink dimensions and the threshold tau of a model's decoder, which VAR needs, and\n"
                "writes them to var_profile.json. Exit code: 0; 1 if the model has no sinks (nothing is\n"
                "written); 2 after an error.\n"
                "  varserve-calibrate --model DIR [--images DIR] [--prompts FILE] [--out FILE] [--json]",
       .flags_files = {"calibrate/main.cc"}},
      argc, argv));
  std::string dir = absl::GetFlag(FLAGS_model);
  if (dir.empty()) return InvalidFlag("model", "is missing; give the directory of the model");
  RETURN_IF_ERROR(FlagDirectory("model", dir, "config.json"));
  return dir;
}

absl::StatusOr<int> Run(int argc, char** argv) {
  ASSIGN_OR_RETURN(const std::string dir, ReadCommandLine(argc, argv));
  const int threads = absl::GetFlag(FLAGS_threads);
  RETURN_IF_ERROR(FlagAtLeast("threads", threads, 0));
  at::set_num_threads(threads > 0 ? threads : UsableCpus());

  ASSIGN_OR_RETURN(const LoadedModel loaded, LoadModel({.model_dir = dir,
                                                        .device = absl::GetFlag(FLAGS_device),
                                                        .dtype = absl::GetFlag(FLAGS_dtype)}));
  const model::DecoderConfig& decoder = loaded.model->config().decoder;
  ASSIGN_OR_RETURN(const PromptSet prompts,
                   MakePrompts(*loaded.preprocessor, absl::GetFlag(FLAGS_images),
                               absl::GetFlag(FLAGS_prompts), decoder.max_position_embeddings));
  ASSIGN_OR_RETURN(const Findings findings, Calibrate(*loaded.model, prompts.prompts, ShowProgress));
  if (!findings.calibration.has_value()) {
    if (!findings.votes.empty()) absl::FPrintF(stderr, "%s", VoteTable(findings.votes));
    absl::FPrintF(
        stderr,
        "varserve-calibrate: this model has no sinks: no tokens that get much attention have the same few "
        "huge dimensions. Nothing was written; VAR cannot be used with it\n");
    return kExitNoSinks;
  }

  const std::optional<model::VarProfile> published = model::PublishedVarProfile(decoder);
  const std::string name =
      published.has_value()
          ? published->decoder
          : absl::StrFormat("%d layers of width %d", decoder.num_hidden_layers, decoder.hidden_size);
  const nlohmann::ordered_json profile =
      ProfileJson(*findings.calibration, name,
                  absl::StrFormat("varserve-calibrate %s (%s, %s)", kVersion, prompts.description,
                                  model::DtypeName(loaded.model->dtype())));
  const std::string out =
      absl::GetFlag(FLAGS_out).empty() ? absl::StrCat(dir, "/var_profile.json") : absl::GetFlag(FLAGS_out);
  if (absl::GetFlag(FLAGS_json)) {
    nlohmann::ordered_json all = FindingsJson(findings.votes, *findings.calibration);
    all["profile"] = profile;
    absl::PrintF("%s\n", all.dump(1));
  } else {
    PrintTables(findings, published);
  }
  RETURN_IF_ERROR(WriteProfile(profile, out));
  absl::FPrintF(stderr, "wrote %s\n", out);
  return kExitFound;
}

}  // namespace
}  // namespace varserve::calibrate

int main(int argc, char** argv) {
  varserve::backend::SetUpLibTorchForGpus();
  const absl::StatusOr<int> exit_status = varserve::calibrate::Run(argc, argv);
  if (exit_status.ok()) return *exit_status;
  std::fprintf(stderr, "varserve-calibrate: %s\n", std::string(exit_status.status().message()).c_str());
  return varserve::calibrate::kExitError;
}
