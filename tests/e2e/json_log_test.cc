// Logs for machines.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

TEST(JsonLogTest, JsonLogsAreJsonOnly) {
  const ServableModel model;
  ServerProcess server(model.dir(), {"--log_format=json"});
  ASSERT_TRUE(server.WaitForLog("\"ready\""));
  std::stringstream log(server.Log());
  for (std::string line; std::getline(log, line);) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}

}  // namespace
}  // namespace varserve::testing
