#include "tests/testing/model_variant.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "absl/strings/str_format.h"
#include "tests/testing/files.h"
#include "tests/testing/tiny_model.h"

namespace varserve::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kIndex[] = "model.safetensors.index.json";

// The tensors of a spec, filled once.
const FileTensors& SpecTensors(const std::string& name) {
  static std::map<std::string, FileTensors> filled;
  const auto [at, is_new] = filled.try_emplace(name);
  if (is_new) {
    const json spec = ReadSpec(name);
    for (const json& tensor : spec["tensors"]) {
      at->second.emplace(tensor["name"].get<std::string>(), FillTensor(tensor));
    }
  }
  return at->second;
}

FileTensors ChangedTensors(const std::string& spec, const json& change) {
  FileTensors tensors = SpecTensors(spec);
  const auto part = [&](const char* key) { return change.value(key, json()); };
  const json dropped = part("drop"), renamed = part("rename"), copied = part("copy"),
             added_tensors = part("add");
  for (const json& name : dropped) tensors.erase(name.get<std::string>());
  for (const auto& [from, to] : renamed.items()) {
    auto node = tensors.extract(from);
    node.key() = to.get<std::string>();
    tensors.insert(std::move(node));
  }
  for (const auto& [to, from] : copied.items()) {
    tensors[to] = SpecTensors(spec).at(from.get<std::string>());
  }
  for (json tensor : added_tensors) {
    tensor.update({{"scale", 0.5}, {"offset", 0.0}});
    FileTensor& added = tensors[tensor["name"].get<std::string>()] = FillTensor(tensor);
    added.dtype = tensor.value("dtype", "F32");
  }
  if (change.contains("dtype")) {
    for (auto& [name, tensor] : tensors) tensor.dtype = change["dtype"].get<std::string>();
  }
  return tensors;
}

}  // namespace

const json& ModelVariants() {
  static const json variants = ReadJson(RepositoryPath("tests/models/variants.json"));
  return variants;
}

// As in the hub's cache, which has ../../blobs.
VariantDirectory::VariantDirectory(const json& variant) : path_(root_.path() + "/snapshots/main") {
  fs::create_directories(path_);
  WriteWeights(variant["spec"], variant.value("weights", json::object()));
  WriteFiles(variant["spec"], variant["files"]);
  if (variant.contains("hub_cache")) MoveToCache();
}

void VariantDirectory::Write(const std::string& file, const std::string& content) const {
  std::ofstream(path_ + "/" + file, std::ios::binary) << content;
}

void VariantDirectory::WriteWeights(const json& spec, const json& change) {
  const FileTensors tensors = ChangedTensors(spec, change);
  if (change.value("format", "") == "bin") {
    Write("pytorch_model.bin", "a pickle");
    return;
  }
  const int num_shards = change.value("shards", 0);
  if (num_shards == 0) {
    WriteSafetensors(path_ + "/model.safetensors", tensors);
    return;
  }
  std::vector<FileTensors> shards(num_shards);
  index_ = {{"metadata", json::object()}, {"weight_map", json::object()}};
  int i = 0;
  for (const auto& [name, tensor] : tensors) {
    const int shard = i++ % num_shards;
    shards[shard].emplace(name, tensor);
    index_["weight_map"][name] = absl::StrFormat("model-%05d-of-%05d.safetensors", shard + 1, num_shards);
  }
  for (int shard = 0; shard < num_shards; ++shard) {
    WriteSafetensors(absl::StrFormat("%s/model-%05d-of-%05d.safetensors", path_, shard + 1, num_shards),
                     shards[shard]);
  }
}

void VariantDirectory::WriteFiles(const json& spec, const json& changes) {
  json files = ModelVariants()["files"][spec.get<std::string>()];
  files["config.json"] = ReadSpec(spec)["config"];
  if (!index_.is_null()) files[kIndex] = index_;
  for (const auto& [name, content] : files.items()) {
    const json change = changes.value(name, json::array());
    if (!change.is_array()) continue;
    const json changed = content.patch(change);
    Write(name, changed.is_string() ? changed.get<std::string>() : changed.dump());
  }
  for (const auto& [name, change] : changes.items()) {
    if (change.is_array()) continue;
    fs::remove(path_ + "/" + name);
    if (change.is_string()) Write(name, change.get<std::string>());
    if (change.is_object()) fs::create_symlink(change["link"].get<std::string>(), path_ + "/" + name);
  }
}

void VariantDirectory::MoveToCache() const {
  fs::create_directory(root_.path() + "/blobs");
  std::set<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) files.insert(entry.path());
  int i = 0;
  for (const fs::path& file : files) {
    const std::string blob = absl::StrFormat("%040x", i++);
    fs::rename(file, root_.path() + "/blobs/" + blob);
    fs::create_symlink("../../blobs/" + blob, file);
  }
}

}  // namespace varserve::testing
