// Everything at once: calls of all kinds, from callers that hang up and run out of time, to the real service
// and engine, around a runner that fails at random and checks that every sequence finds its own content.
#include <thread>

#include "gtest/gtest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/faulty_runner.h"
#include "tests/testing/files.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/random_calls.h"

namespace varserve::testing {
namespace {

TEST(RandomFaultsTest, NothingIsLost) {
  engine::ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.num_kv_blocks = 200;
  FakeModelRunner fake(facts);
  FaultyRunner runner(&fake, 1);
  InProcessOptions options;
  options.scheduler = {.max_running = 4, .prefill_budget = 24, .prefix_cache_blocks = 60};
  options.queue = {.max_waiting = 4};
  InProcessServer server(&runner, LoadSmallPreprocessor(), options);
  std::vector<std::string> pictures;
  for (const char* name : {"422.jpg", "grey.png", "lossy.webp", "1x1.png"})
    pictures.push_back(ReadFile(RepositoryPath("tests/golden/images/files") / name));

  const auto ends = CallAtRandom(server.address(), pictures, 20, 10, absl::Seconds(3), 7);
  server.WaitUntilIdle();
  EXPECT_GT(ends.at(absl::StatusCode::kOk), 0);
  EXPECT_GT(runner.faults(), 0);
  EXPECT_EQ(server.Metric("requests_waiting"), 0);
  EXPECT_EQ(server.Metric("kv_cache_usage_ratio"), 0);
  const auto client = server.Connect();
  v1::GenerateRequest request;
  v1::Message* message = request.add_messages();
  message->set_role(v1::ROLE_USER);
  message->add_parts()->set_text("Still there?");
  request.mutable_options()->set_max_tokens(1);
  absl::Status status;
  do {  // the faults go on
    status = client->Generate(request, {}, [](const auto&) { return true; }).status();
  } while (absl::IsInternal(status) || absl::IsResourceExhausted(status));
  EXPECT_TRUE(status.ok()) << status;
  server.Stop();
  EXPECT_EQ(fake.num_sequences(), 0U) << "everything is released";
}

}  // namespace
}  // namespace varserve::testing
