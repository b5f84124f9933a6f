// A step waits for the device once, for the copy of its results: nothing else in it reads a tensor's value on
// the host.
#include <ATen/record_function.h>

#include <atomic>
#include <set>

#include "server/interventions/var/var_intervention.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using backend::BackendKind;
// Operators that need a value on the host: reads of single elements, and those whose result's shape depends
// on values.
const std::set<std::string> kHostReads = {"aten::item",          "aten::_local_scalar_dense",
                                          "aten::is_nonzero",    "aten::nonzero",
                                          "aten::masked_select", "aten::equal",
                                          "aten::unique_dim",    "aten::_unique2",
                                          "aten::allclose",      "aten::repeat_interleave",
                                          "aten::bincount"};
std::atomic<int> host_reads;

std::unique_ptr<at::ObserverContext> CountHostReads(const at::RecordFunction& function) {
  const auto name = function.operator_name();
  if (!name.has_value()) return nullptr;
  if (kHostReads.contains(name->name)) ++host_reads;
  // Copies between devices, Tensor::cpu() among them, are to.dtype_layout; those to the device do not wait
  // for it.
  constexpr size_t kNonBlocking = 5;  // argument
  if (name->name == "aten::to" && name->overload_name == "dtype_layout" &&
      !function.inputs()[kNonBlocking].toBool())
    ++host_reads;
  return nullptr;
}

TEST(HostSyncTest, AStepReadsNothingButItsResults) {
  const testing::TinyModel tiny("clip_mha");
  std::vector<int32_t> ids(16, 159);
  for (int i = 0; i < 20; ++i) ids.push_back(2 + i);
  engine::GenerationRequest request;
  request.prompt = tiny.MakePrompt(ids, {{0, 16, 4, 4}});
  request.sampling = {.temperature = 0.7F, .logprobs = 3};
  request.intervention = interventions::MakeVarIntervention({.mode = interventions::Mode::kOn,
                                                             .tau = 3.0F,
                                                             .rho = 0.2F,
                                                             .min_visual_attention = 0.0F,
                                                             .last_layer = 3});
  request.map_layers = {1, 2};
  for (const BackendKind backend : {BackendKind::kAuto, BackendKind::kTorch, BackendKind::kCuda}) {
    const bool on_gpu = backend == BackendKind::kCuda && testing::TestDevice() == "cuda";  // no float32
    if (backend == BackendKind::kCuda && !testing::WhyNoCuda().empty()) continue;
    const auto runner = *StepRunner::Create(tiny.Load(backend, on_gpu ? "float16" : "float32"), 64);
    testing::RunnerDriver a(*runner, request, 1, 0);
    testing::RunnerDriver b(*runner, request, 2, 32);
    b.Run(16, false);
    b.Run(36, true);
    const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(CountHostReads).needsInputs(true));
    host_reads = 0;
    a.Run(16, false);  // the picture and its prefix
    EXPECT_EQ(host_reads, 0);
    const engine::StepPlan plan{
        {b.Step(37, true), a.Step(36, true)}};  // decoding and a chunk with VAR rows, together
    int meanwhile = 0;
    const auto output = runner->Execute(plan, [&meanwhile] { ++meanwhile; });
    EXPECT_EQ(meanwhile, 1);
    EXPECT_EQ(host_reads, 0) << backend::kBackendNames[static_cast<int>(backend)];
    at::removeCallback(handle);
    ASSERT_TRUE(output.ok());
    EXPECT_TRUE(output->results[0].map.has_value());
  }
}

}  // namespace
}  // namespace varserve::model
