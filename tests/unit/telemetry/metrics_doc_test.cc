#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "server/interventions/table/table.h"
#include "server/telemetry/metrics.h"
#include "tests/testing/files.h"
#include "tests/unit/telemetry/metric_table.h"

namespace varserve::telemetry {
namespace {

TEST(MetricsDocTest, ListsTheMetricsAsTheyAre) {
  Metrics metrics("model", "version", interventions::ReportMetricsMakers());
  metrics.OnModelLoaded({.dtype = "dtype", .device = "device", .num_layers = 1});
  EXPECT_THAT(ReadFile(RepositoryPath("docs/metrics.md")),
              testing::HasSubstr(MetricTable(metrics.registry()->Collect())))
      << "docs/metrics.md is not current; write it anew with ./dev observe --write";
}

TEST(MetricTableTest, TellsTypesUnitsLabelsAndBuckets) {
  const MetricFamilies families("m");
  families.Histogram("wait_seconds", "A wait.").Add({{"var", "on"}}, std::vector<double>{0.5, 1});
  families.Counter("moved_tokens_total", "Moved.").Add({});
  families.Gauge("use_ratio", "Use.").Add({{"b", "1"}, {"a", "2"}});
  families.Gauge("cache_bytes", "Memory.").Add({});
  EXPECT_EQ(MetricTable(families.registry()->Collect()),
            "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n"
            "| `varserve_cache_bytes` | gauge | bytes |  | Memory. |\n"
            "| `varserve_moved_tokens_total` | counter | tokens |  | Moved. |\n"
            "| `varserve_use_ratio` | gauge | 0 to 1 | `a` `b` | Use. |\n"
            "| `varserve_wait_seconds` | histogram | s | `var` | A wait. |\n"
            "\n| bucket bounds | metrics |\n|---|---|\n"
            "| 0.5 1 | `varserve_wait_seconds` |\n");
}

}  // namespace
}  // namespace varserve::telemetry
