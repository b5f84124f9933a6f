#include "server/model/checkpoint.h"

#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"

namespace varserve::model {
namespace {

namespace fs = std::filesystem;

constexpr char kSingle[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";
constexpr char kEmbeddings[] = "language_model.embed_tokens.weight";
constexpr char kOutput[] = "lm_head.weight";

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool IsLink(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(path, error);
}

// A file of the directory itself.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// What the directory has instead of safetensors.
absl::Status NoWeights(const fs::path& dir) {
  if (IsLink(dir / kSingle)) return ReadModelFile(dir, kSingle).status();  // a dead one
  constexpr char kInstead[] = "; save the model as safetensors (save_pretrained of transformers does)";
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (Exists(dir / name)) {
      return absl::FailedPreconditionError(
          absl::StrCat(name, ": weights pickled by PyTorch are not supported", kInstead));
    }
  }
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::EndsWith(name, ".gguf")) {
      return absl::FailedPreconditionError(absl::StrCat(name, ": GGUF is not supported", kInstead));
    }
    if (absl::EndsWith(name, ".safetensors")) {
      return absl::NotFoundError(absl::StrCat(kIndex, ": not found in the model directory ", dir.string(),
                                              ", which has ", name, " but no ", kSingle));
    }
  }
  return absl::NotFoundError(
      absl::StrCat("weights: the model directory ", dir.string(), " has neither ", kSingle, " nor ", kIndex));
}

absl::StatusOr<std::vector<std::string>> ShardNames(const fs::path& dir) {
  const absl::StatusOr<nlohmann::json> index = ReadModelJson(dir, kIndex);
  if (absl::IsNotFound(index.status()) && !IsLink(dir / kIndex)) return NoWeights(dir);
  RETURN_IF_ERROR(index.status());
  const auto weight_map = index->find("weight_map");
  if (weight_map == index->end() || !weight_map->is_object() || weight_map->empty()) {
    return absl::FailedPreconditionError(absl::StrCat(kIndex, ": weight_map is missing or empty"));
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : weight_map->items()) {
    if (!file.is_string() || !IsPlainName(file.get<std::string>())) {
      return absl::FailedPreconditionError(
          absl::StrCat(kIndex, ": weight_map: ", tensor, " is in ", ShortText(file),
                       ", which is not a file of the model directory itself"));
    }
    names.insert(file.get<std::string>());
  }
  for (const std::string& name : names) {
    if (!Exists(dir / name)) {
      return absl::NotFoundError(absl::StrCat(kIndex, ": weight_map names ", name,
                                              ", which is missing in the model directory ", dir.string(),
                                              "; download it"));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& model_dir, const Family& family) {
  const fs::path dir = model_dir;
  if (Exists(dir / "adapter_config.json")) {
    return absl::FailedPreconditionError(
        "adapter_config.json: adapters are not supported; merge it into the model (merge_and_unload of "
        "peft)");
  }
  std::vector<std::string> names = {kSingle};
  if (!Exists(dir / kSingle)) {
    ASSIGN_OR_RETURN(names, ShardNames(dir));
  }
  Checkpoint checkpoint;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> file, SafetensorsFile::Open(dir / name));
    RETURN_IF_ERROR(checkpoint.Add(std::move(file), family));
  }
  return checkpoint;
}

absl::Status Checkpoint::Add(std::unique_ptr<SafetensorsFile> file, const Family& family) {
  for (const auto& [stored, info] : file->tensors()) {
    const auto [at, is_new] =
        tensors_.emplace(family.canonical_weight_name(stored), Entry{file.get(), stored, info});
    if (!is_new) {
      return absl::FailedPreconditionError(
          absl::StrCat(file->name(), ": tensor ", stored, " is stored twice, also in ",
                       at->second.file->name(), " as ", at->second.stored_name, "; remove one of them"));
    }
  }
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

const Checkpoint::Entry* Checkpoint::Find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

absl::Status Checkpoint::WhyMissing(const std::string& name) const {
  const std::string files =
      files_.size() == 1 ? files_.front()->name() : absl::StrCat("the ", files_.size(), " files of ", kIndex);
  const absl::string_view stem = absl::StripSuffix(name, ".weight");
  for (const char* quantized : {".qweight", ".weight_packed", ".weight.absmax", ".weight_scale"}) {
    if (const Entry* const entry = Find(absl::StrCat(stem, quantized)); entry != nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat(entry->file->name(), ": tensor ", entry->stored_name, " is there instead of ", name,
                       ": quantized weights need a quantization_config in config.json that "
                       "describes them"));
    }
  }
  if (name == kOutput) {
    return absl::NotFoundError(absl::StrCat(files, ": tensor ", name,
                                            " is missing, and config.json: tie_word_embeddings is not true, "
                                            "neither itself nor in text_config"));
  }
  const std::vector<std::string> path = absl::StrSplit(name, '.');
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    if (path[i] != "layer" && path[i] != "layers") continue;
    const std::string layer =
        absl::StrCat(name.substr(0, name.find(path[i])), path[i], ".", path[i + 1], ".");
    const auto first = tensors_.lower_bound(layer);
    if (first != tensors_.end() && absl::StartsWith(first->first, layer)) break;
    return absl::NotFoundError(absl::StrCat(
        files, ": tensor ", name, " is missing, and so is all of layer ", path[i + 1], "; config.json: ",
        path[0] == "language_model" ? "text_config" : "vision_config", ".num_hidden_layers asks for it"));
  }
  return absl::NotFoundError(
      absl::StrCat(files, ": tensor ", name, " is missing; download the weights again, all of them"));
}

std::string Checkpoint::Dtype() const {
  const Entry* const entry = Find(kEmbeddings);
  const std::string stored = entry == nullptr ? "" : entry->info.dtype;
  return stored == "F32" ? "float32" : stored == "F16" ? "float16" : stored == "BF16" ? "bfloat16" : "";
}

bool Checkpoint::TieEmbeddings() {
  const Entry* const embeddings = Find(kEmbeddings);
  const Entry* const output = Find(kOutput);
  if (output == nullptr) return true;
  if (embeddings == nullptr) {
    tensors_.emplace(kEmbeddings, *output);
    return true;
  }
  const int64_t bytes = output->info.end - output->info.begin;
  return embeddings->info.dtype == output->info.dtype && embeddings->info.shape == output->info.shape &&
         std::memcmp(embeddings->file->Data(embeddings->info), output->file->Data(output->info), bytes) == 0;
}

}  // namespace varserve::model
