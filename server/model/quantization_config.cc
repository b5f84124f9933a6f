#include "server/model/quantization_config.h"

#include "absl/strings/str_cat.h"

namespace varserve::model {
namespace {

constexpr int64_t kMostGroup = 1 << 20;

int Bits(JsonFields& fields, const char* key, std::initializer_list<int> supported) {
  const auto bits = static_cast<int>(fields.Int(key, 4, 1, 64));
  for (const int value : supported) {
    if (bits == value) return bits;
  }
  fields.FailWithValue(key,
                       supported.size() == 1 ? "but only 4 is supported" : "but only 4 and 8 are supported");
  return 4;
}

// -1 and null mean all inputs.
int64_t Group(JsonFields& fields, const char* key, int64_t fallback) {
  if (!fields.Has(key)) return fallback;
  const int64_t group = fields.Int(key, fallback, -1, kMostGroup);
  if (group > 0 && group % 32 != 0) fields.FailWithValue(key, "but only multiples of 32 are supported");
  return group > 0 ? group : 0;
}

void ReadCompressedTensors(JsonFields& fields, QuantizationConfig& c) {
  fields.Choice("format", "pack-quantized", {"pack-quantized"});
  const nlohmann::json* const groups = fields.Find("config_groups");
  if (groups == nullptr || !groups->is_object() || groups->size() != 1) {
    fields.Fail("config_groups", "must have one group; several are not supported");
    return;
  }
  JsonFields all = fields.Object("config_groups");
  JsonFields group = all.Object(groups->begin().key().c_str());
  for (const char* key : {"input_activations", "output_activations"}) {
    if (group.Has(key)) group.Fail(key, "are quantized, which is not supported; only weights may be");
  }
  JsonFields weights = group.Object("weights");
  c.bits = Bits(weights, "num_bits", {4, 8});
  weights.Choice("type", "int", {"int"});
  c.symmetric = weights.Bool("symmetric", true);
  if (weights.Choice("strategy", "group", {"group", "channel"}) == "group")
    c.group = Group(weights, "group_size", 128);
  if (weights.Has("actorder")) weights.Choice("actorder", "weight", {"weight", "static"});
  if (c.bits == 8 && !c.symmetric) weights.Fail("symmetric", "is false, which is not supported for 8 bits");
}

void ReadAwq(JsonFields& fields, QuantizationConfig& c) {
  c.bits = Bits(fields, "bits", {4});
  c.group = Group(fields, "group_size", 128);
  c.symmetric = !fields.Bool("zero_point", true);
  fields.Choice("version", "gemm", {"gemm", "GEMM"});
}

void ReadGptq(JsonFields& fields, QuantizationConfig& c) {
  c.bits = Bits(fields, "bits", {4, 8});
  c.group = Group(fields, "group_size", 128);
  c.symmetric = fields.Bool("sym", true);
  if (fields.Bool("desc_act", false))
    fields.Fail("desc_act", "is true: inputs in the order of their activations are not supported");
  c.zeros_minus_one = fields.Choice("checkpoint_format", "gptq", {"gptq", "gptq_v2"}) == "gptq";
}

}  // namespace

QuantizationConfig ReadQuantizationConfig(JsonFields& config) {
  QuantizationConfig c;
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (!config.Has(key)) continue;
    JsonFields fields = config.Object(key);
    c.name = fields.Choice("quant_method", "compressed-tensors", {"compressed-tensors", "awq", "gptq"});
    if (c.name == "awq") {
      c.format = QuantizationConfig::Format::kAwq;
      ReadAwq(fields, c);
    } else if (c.name == "gptq") {
      c.format = QuantizationConfig::Format::kGptq;
      ReadGptq(fields, c);
    } else {
      c.format = QuantizationConfig::Format::kCompressedTensors;
      ReadCompressedTensors(fields, c);
    }
    return c;
  }
  return c;
}

}  // namespace varserve::model
