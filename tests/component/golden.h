// Reads tests/golden/data.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/backend/table/backend_table.h"
#include "server/engine/request.h"
#include "server/model/safetensors.h"
#include "tests/testing/files.h"
#include "tests/testing/interpreted_kernels.h"
#include "tests/testing/test_device.h"
#include "tests/testing/tiny_model.h"

namespace varserve::testing {

class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(*model::SafetensorsFile::Open(
            RepositoryPath(absl::StrCat("tests/golden/data/", name, ".safetensors")))) {}

  at::Tensor Get(const std::string& name) const {
    const model::TensorInfo& info = file_->tensors().at(name);
    return at::from_blob(const_cast<void*>(file_->Data(info)), info.shape,
                         at::TensorOptions().dtype(info.dtype == "I64" ? at::kLong : at::kFloat))
        .clone();
  }
  std::vector<int32_t> Ids(const std::string& name) const {
    const at::Tensor stored = Get(name);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < stored.numel(); ++i)
      ids.push_back(static_cast<int32_t>(stored[i].item<int64_t>()));
    return ids;
  }

 private:
  std::unique_ptr<model::SafetensorsFile> file_;
};

// What tests against golden values run with: each tiny model on each backend.
using ModelAndBackend = std::tuple<std::string, backend::BackendKind>;
inline auto EveryModelAndBackend() {
  return ::testing::Combine(
      ::testing::Values("clip_mha", "clip_gqa", "dinov2_gqa", "llama3_rope", "mistral", "qwen2", "qwen3",
                        "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "internvl3_5", "llava_next",
                        "llava_onevision", "idefics3", "smolvlm", "vila1_5", "vila1_0"),
      ::testing::Values(backend::BackendKind::kCpu, backend::BackendKind::kTorch));
}
// One model with the cuda backend's kernels in Triton's interpreter, which takes its time: few of its cases.
inline auto OneModelOnCuda() {
  return ::testing::Values(ModelAndBackend("clip_gqa", backend::BackendKind::kCuda));
}
inline nlohmann::json CasesFor(const ModelAndBackend& param, nlohmann::json cases) {
  if (std::get<1>(param) != backend::BackendKind::kCuda) return cases;
  nlohmann::json few = nlohmann::json::array();
  for (nlohmann::json& c : cases) {
    if (c["name"] == "image_first" || c["name"] == "authors_image_first") few.push_back(std::move(c));
  }
  return few;
}
// Why the cuda backend cannot be loaded here; empty if it can.
inline std::string WhyNoCuda() { return TestDevice() == "cuda" ? "" : InterpretedKernels::WhyNot(); }
// Why graphs cannot be recorded here; empty if they can.
inline std::string WhyNoGraphs() {
  return TestDevice() == "cpu" ? "the CPU has no graphs; far_device_test runs this" : WhyNoCuda();
}
// Why a test in float32 cannot run here; empty if it can. The cuda backend is tested with graphs.
inline std::string WhyNot(const ModelAndBackend& param) {
  if (std::get<1>(param) != backend::BackendKind::kCuda) return "";
  return TestDevice() == "cuda" ? "the kernels of a GPU are for 16 bits" : WhyNoGraphs();
}
inline std::string ModelAndBackendName(const ::testing::TestParamInfo<ModelAndBackend>& info) {
  return absl::StrCat(std::get<0>(info.param), "_",
                      backend::kBackendNames[static_cast<int>(std::get<1>(info.param))]);
}

// Logits cannot be had from a runner, log-probabilities of all tokens can.
inline at::Tensor AllLogprobs(const engine::Token& token) {
  at::Tensor logprobs = at::full({static_cast<int64_t>(token.top.size())}, NAN);
  for (const auto& [id, value] : token.top) logprobs[id] = value;
  return logprobs;
}

inline double LargestDifference(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0.0 : (a - b).abs().max().item<double>();
}

}  // namespace varserve::testing
