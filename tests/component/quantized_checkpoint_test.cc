// Checkpoints that are quantized already.
#include <gmock/gmock.h>

#include "server/model/quantized_weights.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/quantized_files.h"
#include "tests/testing/runner_driver.h"
#include "tests/testing/temp_dir.h"

namespace varserve::model {
namespace {

using backend::QuantizedMatrix;
using nlohmann::json;
using testing::FileTensors;

using Packer = FileTensors (*)(const std::string&, const QuantizedMatrix&);

json CompressedTensors(int bits, int group, bool symmetric) {
  const json weights = {{"num_bits", bits},
                        {"type", "int"},
                        {"strategy", "group"},
                        {"group_size", group},
                        {"symmetric", symmetric}};
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"config_groups",
           {{"group_0", {{"weights", weights}, {"targets", {"Linear"}}, {"input_activations", nullptr}}}}}};
}
json Awq(int group, bool zero_point) {
  return {{"quant_method", "awq"},
          {"bits", 4},
          {"group_size", group},
          {"zero_point", zero_point},
          {"version", "gemm"}};
}
json Gptq(int bits, int group, bool symmetric) {
  return {{"quant_method", "gptq"},
          {"bits", bits},
          {"group_size", group},
          {"sym", symmetric},
          {"desc_act", false}};
}

QuantizationConfig Read(const json& config) {
  const json whole = {{"quantization_config", config}};
  JsonFields fields(whole, "config.json");
  QuantizationConfig read = ReadQuantizationConfig(fields);
  EXPECT_TRUE(fields.status().ok()) << fields.status();
  return read;
}

TEST(QuantizedWeightsTest, ReadsWhatTheLibrariesPack) {
  at::manual_seed(1);
  struct Trial {
    json config;
    Packer pack;
    int bits;
    bool zeros;
    int64_t group;
  };
  const Trial trials[] = {{CompressedTensors(4, 64, true), testing::AsCompressedTensors, 4, false, 64},
                          {CompressedTensors(4, 32, false), testing::AsCompressedTensors, 4, true, 32},
                          {CompressedTensors(8, 128, true), testing::AsCompressedTensors, 8, false, 128},
                          {Awq(64, true), testing::AsAwq, 4, true, 64},
                          {Awq(64, false), testing::AsAwq, 4, false, 64},
                          {Gptq(4, 128, true), testing::AsGptq, 4, false, 128},
                          {Gptq(4, 32, false), testing::AsGptq, 4, true, 32},
                          {Gptq(8, 64, true), testing::AsGptq, 8, false, 64},
                          {Gptq(4, -1, true), testing::AsGptq, 4, false, 256}};
  for (const Trial& t : trials) {
    SCOPED_TRACE(t.config.dump());
    QuantizedMatrix m{.codes = at::randint(0, 1 << t.bits, {16, 256}).to(at::kByte),
                      .scales = at::randn({16, 256 / t.group}),
                      .zeros = {},
                      .bits = t.bits};
    if (t.zeros) m.zeros = at::randint(0, 16, m.scales.sizes()).to(at::kByte);
    const testing::TempDir dir;
    const std::string stem = "language_model.model.layers.0.mlp.up_proj";
    testing::WriteSafetensors(dir.path() + "/model.safetensors", t.pack(stem, m));
    const auto checkpoint = Checkpoint::Open(dir.path(), *FindFamily("llava"));
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    const std::string name = "language_model.layers.0.mlp.up_proj.weight";
    const QuantizationConfig config = Read(t.config);
    EXPECT_TRUE(IsQuantized(*checkpoint, config, name));
    const auto read = ReadQuantized(*checkpoint, config, name, 16, 256);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(at::equal(read->Dequantize(), m.Dequantize()));
    EXPECT_EQ(read->zeros.defined(), t.zeros);
    EXPECT_LE(read->group(), 128);
    EXPECT_EQ(ReadQuantized(*checkpoint, config, name, 24, 256).status().code(),
              absl::StatusCode::kFailedPrecondition);
  }
}

// The last tokens' log-probabilities after a picture and some text.
at::Tensor Logprobs(const testing::TinyModel& tiny, int quantize_bits) {
  const auto runner =
      *StepRunner::Create(tiny.Load(backend::BackendKind::kAuto, "bfloat16", quantize_bits), 64);
  std::vector<int32_t> ids(16, 159);
  for (int i = 0; i < 12; ++i) ids.push_back(2 + i);
  engine::GenerationRequest request;
  request.prompt = tiny.MakePrompt(ids, {{0, 16, 4, 4}});
  request.sampling = {.logprobs = 160};
  testing::RunnerDriver driver(*runner, request);
  driver.Run(16, false);
  driver.Run(28, true);
  return testing::AllLogprobs(driver.sampled().back());
}

TEST(QuantizedCheckpointTest, EqualsTheModelQuantizedAsItIsLoaded) {
  const testing::TinyModel dense("clip_gqa");
  struct Format {
    json config;
    Packer pack;
  };
  for (const Format& format : {Format{CompressedTensors(4, 32, true), testing::AsCompressedTensors},
                               {Awq(32, false), testing::AsAwq},
                               {Gptq(4, 32, true), testing::AsGptq}}) {
    SCOPED_TRACE(format.config["quant_method"].get<std::string>());
    const testing::TinyModel stored(
        "clip_gqa", [&](json& spec) { spec["config"]["quantization_config"] = format.config; });
    FileTensors tensors;
    int packed = 0;
    for (const auto& [name, tensor] : dense.weights()) {
      const bool linear = name.find("language_model.") != std::string::npos &&
                          name.find(".layers.") != std::string::npos && tensor.shape.size() == 2;
      if (!linear || backend::QuantizationGroup(tensor.shape[1], 4) == 0) {
        tensors[name] = tensor;
        continue;
      }
      const at::Tensor values =
          at::tensor(tensor.values).view(tensor.shape).to(at::kBFloat16);  // as it is loaded
      const std::string stem = name.substr(0, name.size() - std::string(".weight").size());
      tensors.merge(format.pack(stem, backend::Quantize(values, 4, 32)));
      ++packed;
    }
    EXPECT_GT(packed, 20);
    testing::WriteSafetensors(stored.dir() + "/model.safetensors", tensors);
    EXPECT_TRUE(at::equal(Logprobs(stored, 4), Logprobs(dense, 4)));
  }
}

TEST(QuantizationConfigTest, RefusesByName) {
  const auto refusal = [](json config) {
    const json whole = {{"quantization_config", std::move(config)}};
    JsonFields fields(whole, "config.json");
    ReadQuantizationConfig(fields);
    return std::string(fields.status().message());
  };
  const auto changed = [](json config, const char* pointer, const json& value) {
    config[json::json_pointer(pointer)] = value;
    return config;
  };
  EXPECT_THAT(refusal({{"quant_method", "bitsandbytes"}}),
              ::testing::HasSubstr("quantization_config.quant_method"));
  EXPECT_THAT(refusal(changed(Gptq(4, 128, true), "/desc_act", true)), ::testing::HasSubstr("desc_act"));
  EXPECT_THAT(refusal(changed(Gptq(4, 128, true), "/bits", 3)), ::testing::HasSubstr("bits"));
  EXPECT_THAT(refusal(changed(Awq(128, true), "/version", "gemv")), ::testing::HasSubstr("version"));
  EXPECT_THAT(refusal(changed(Awq(128, true), "/group_size", 48)), ::testing::HasSubstr("group_size"));
  EXPECT_THAT(refusal(CompressedTensors(8, 128, false)), ::testing::HasSubstr("symmetric"));
  EXPECT_THAT(refusal(changed(CompressedTensors(4, 128, true), "/config_groups/group_0/input_activations",
                              {{"num_bits", 8}})),
              ::testing::HasSubstr("input_activations"));
  EXPECT_THAT(refusal(changed(CompressedTensors(4, 128, true), "/format", "float-quantized")),
              ::testing::HasSubstr("format"));
}

}  // namespace
}  // namespace varserve::model
