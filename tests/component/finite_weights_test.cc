#include "server/model/finite_weights.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/testing/tiny_model.h"

namespace varserve::model {
namespace {

using ::testing::HasSubstr;

constexpr char kNorm[] = "language_model.model.layers.1.input_layernorm.weight";
constexpr char kProjection[] = "language_model.model.layers.1.self_attn.k_proj.weight";

// What is said of a model in which the last value of a tensor is this.
std::string Problem(const std::string& tensor, float value, const std::string& dtype = "float32") {
  const testing::TinyModel tiny("dinov2_gqa");
  testing::FileTensors weights = tiny.weights();
  weights.at(tensor).values.back() = value;
  testing::WriteSafetensors(tiny.dir() + "/model.safetensors", weights);
  const auto model = tiny.Load(backend::BackendKind::kAuto, dtype);
  return std::string(CheckWeightsAreFinite(tiny.dir(), *model).message());
}

TEST(FiniteWeightsTest, FiniteOnesAreFine) { EXPECT_EQ(Problem(kNorm, 1e5F), ""); }

TEST(FiniteWeightsTest, TheTensorIsNamed) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const char* tensor : {kNorm, kProjection}) {
      EXPECT_THAT(Problem(tensor, value), HasSubstr(std::string("model.safetensors: tensor ") + tensor +
                                                    " has a value that is not finite"));
    }
  }
}

TEST(FiniteWeightsTest, AValueMayBeTooLargeForTheDtype) {
  EXPECT_EQ(Problem(kProjection, 1e5F, "bfloat16"), "");
  EXPECT_THAT(Problem(kProjection, 1e5F, "float16"),
              HasSubstr(std::string(kProjection) + " has a value that is too large for float16"));
}

}  // namespace
}  // namespace varserve::model
