// Calls of all kinds, while the real model's steps fail at random: nothing is lost, memory and threads stay
// level. In this process, so that the faults can be put in. ./dev soak does it for ten minutes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "server/model/step_runner.h"
#include "tests/e2e/pictures.h"
#include "tests/testing/faulty_runner.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/random_calls.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/soak.h"

namespace varserve::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;  // the sanitizer keeps what was freed
#else
constexpr bool kMemoryIsOurs = true;
#endif

TEST(RandomFaultsTest, TheRealModelLosesNothing) {
  const ServableModel servable;
  auto loaded = servable.tiny().Load();
  const model::ModelConfig& config = loaded->config();
  auto tokenizer = text::Tokenizer::Load(servable.dir(), config.image_token_id);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  auto image_processor =
      config.family->image_processor(config, servable.dir(), /*max_image_tokens=*/0,
                                     [&](absl::string_view text) { return tokenizer->Encode(text, {}); });
  ASSERT_TRUE(image_processor.ok()) << image_processor.status();
  auto preprocessor = chat::Preprocessor::Load(
      servable.dir(), *std::move(tokenizer), *std::move(image_processor),
      {config.image_token_id, config.family->image_token}, config.decoder.vocab_size);
  ASSERT_TRUE(preprocessor.ok()) << preprocessor.status();
  auto inner = model::StepRunner::Create(std::move(loaded), /*num_blocks=*/120);
  ASSERT_TRUE(inner.ok()) << inner.status();
  FaultyRunner runner(inner->get(), 3);
  InProcessOptions options;
  options.scheduler = {.max_running = 6};
  options.queue = {.max_waiting = 6};
  options.description.mutable_decoder()->set_vocabulary(160);
  InProcessServer server(&runner, *std::move(preprocessor), options);
  const std::vector<std::string> pictures = {Picture("rgb.jpg"), Picture("grey.png"), Picture("lossy.webp"),
                                             Picture("1x1.png")};

  const int seconds = SoakAmount("VARSERVE_RANDOM_FAULTS_SECONDS", 4);
  constexpr int kCallers = 16;
  CallAtRandom(server.address(), pictures, 60, kCallers, absl::Seconds(std::max(2, seconds / 10)), 1000);
  server.WaitUntilIdle();
  const int64_t memory_before = ProcessStatus(getpid(), "VmRSS");
  const int64_t threads_before = ProcessStatus(getpid(), "Threads");
  const auto ends = CallAtRandom(server.address(), pictures, 60, kCallers, absl::Seconds(seconds), 1);
  server.WaitUntilIdle();
  const int64_t memory_after = ProcessStatus(getpid(), "VmRSS");
  const int64_t threads_after = ProcessStatus(getpid(), "Threads");

  EXPECT_GT(ends.at(absl::StatusCode::kOk), 0);
  EXPECT_GT(runner.faults(), 0);
  EXPECT_EQ(server.Metric("requests_running") + server.Metric("requests_waiting"), 0);
  EXPECT_EQ(server.Metric("kv_cache_usage_ratio"), 0);
  if (kMemoryIsOurs) {
    EXPECT_LT(memory_after, memory_before + (48 << 10));
  }
  EXPECT_LT(threads_after, threads_before + 8);
  TellSoak(
      absl::StrFormat("random calls with faults: %d s, %d callers: %s; %d faults in %.0f steps; no request "
                      "or KV block left; memory "
                      "%.1f MB before and %.1f MB after, threads %d and %d",
                      seconds, kCallers, ToText(ends), runner.faults(), server.Metric("engine_step_seconds"),
                      static_cast<double>(memory_before) / 1024, static_cast<double>(memory_after) / 1024,
                      threads_before, threads_after));
}

}  // namespace
}  // namespace varserve::testing
