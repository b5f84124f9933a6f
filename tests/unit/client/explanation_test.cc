#include "client/explain/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "tests/unit/client/fake_server.h"

namespace varserve::client {
namespace {

using ::testing::ElementsAre;

v1::Model Model() {
  v1::Model model;
  model.mutable_limits()->set_max_settings(4);
  model.mutable_decoder()->set_layers(7);
  model.mutable_var_profile()->set_tau(20);
  return model;
}

// What the first call of Explain gets.
FakeServer::Script Probe(const v1::Intervention& effective) {
  v1::GenerateResponse started = Started("id");
  *started.mutable_started()->mutable_intervention() = effective;
  return {.compare_responses = {OfSetting(0, started), OfSetting(0, Finished("y"))}};
}

TEST(SplitLayers, CoversEveryLayerOnce) {
  for (uint32_t first = 0; first < 4; ++first) {
    for (uint32_t last = first; last < 40; ++last) {
      for (uint32_t bands = 1; bands < 8; ++bands) {
        uint32_t next = first;
        uint32_t widest = 0;
        uint32_t narrowest = 100;
        for (const Explanation::Band& band : SplitLayers(first, last, bands)) {
          EXPECT_EQ(band.first_layer, next);
          next = band.last_layer + 1;
          widest = std::max(widest, next - band.first_layer);
          narrowest = std::min(narrowest, next - band.first_layer);
        }
        EXPECT_EQ(next, last + 1);
        EXPECT_LE(widest, narrowest + 1);
        EXPECT_GE(narrowest, 1);
      }
    }
  }
}

TEST(Explain, AsksForMapsOfBandsAndSinksOfLayers) {
  FakeServer server;
  server.SetModel(Model());
  server.Expect({});
  v1::Intervention effective;
  effective.mutable_var()->set_mode(v1::VAR_MODE_ON);
  effective.mutable_var()->set_last_layer(5);
  effective.mutable_var()->set_tau(20);
  server.Expect(Probe(effective));
  v1::GenerateResponse maps = Finished("yes");
  maps.mutable_finished()->mutable_var_report()->add_maps();
  server.Expect({.compare_responses = {OfSetting(1, Started("id")), OfSetting(1, Delta("y", 1)),
                                       OfSetting(1, Delta("es", 2)), OfSetting(0, Finished("no")),
                                       OfSetting(1, maps), OfSetting(2, maps), OfSetting(3, maps)}});
  v1::GenerateResponse sinks = Finished("y");
  sinks.mutable_finished()->mutable_var_report()->add_visual_sinks()->set_row(2);
  server.Expect({.compare_responses = {OfSetting(0, sinks), OfSetting(1, sinks), OfSetting(2, sinks),
                                       OfSetting(3, sinks)}});
  server.Expect({.compare_responses = {OfSetting(0, sinks), OfSetting(1, sinks)}});

  ExplainRequest request{.image = "picture", .question = "?"};
  request.generate.set_max_tokens(7);
  const auto explanation = Explain(*server.Connect(), {}, request);
  ASSERT_TRUE(explanation.ok()) << explanation.status();
  EXPECT_EQ(explanation->off.text(), "no");
  EXPECT_EQ(explanation->on.text(), "yes");
  EXPECT_EQ(explanation->last_text, "es");
  ASSERT_EQ(explanation->bands.size(), 3);
  EXPECT_EQ(explanation->bands[0].maps.size(), 1);
  ASSERT_EQ(explanation->sinks.size(), 6);
  EXPECT_EQ(explanation->sinks[5].layer, 5);
  EXPECT_EQ(explanation->sinks[5].sinks.Get(0).row(), 2);

  const std::vector<v1::CompareRequest> requests = server.compare_requests();
  ASSERT_EQ(requests.size(), 4);
  EXPECT_EQ(requests[0].request().options().max_tokens(), 1);
  EXPECT_EQ(requests[1].request().options().max_tokens(), 7);
  EXPECT_EQ(requests[0].interventions(0).var().mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(requests[1].interventions(0).var().mode(), v1::VAR_MODE_OFF);
  EXPECT_EQ(requests[1].interventions(1).var().detail(), v1::VAR_DETAIL_MAPS);
  EXPECT_THAT(requests[1].interventions(1).var().map_layers(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(requests[1].interventions(2).var().map_layers(), ElementsAre(0, 1, 2));
  EXPECT_THAT(requests[1].interventions(3).var().map_layers(), ElementsAre(3, 4, 5));
  EXPECT_EQ(requests[3].settings(1).mode(), v1::VAR_MODE_OBSERVE);
  EXPECT_EQ(requests[3].settings(1).first_layer(), 5);
  EXPECT_EQ(requests[3].settings(1).last_layer(), 5);
  EXPECT_EQ(requests[3].settings(1).tau(), 20);
}

TEST(Explain, AsksForOneBandOfAnotherMethodAndForSinks) {
  FakeServer server;
  server.SetModel(Model());
  server.Expect({});
  v1::Intervention pai;
  pai.mutable_pai()->set_first_layer(2);
  pai.mutable_pai()->set_last_layer(3);
  pai.mutable_vcd()->set_alpha(1);
  server.Expect(Probe(pai));
  v1::GenerateResponse maps = Finished("yes");
  maps.mutable_finished()->mutable_intervention_report()->add_maps();
  server.Expect({.compare_responses = {OfSetting(0, Finished("no")), OfSetting(1, maps)}});
  server.Expect({.compare_responses = {OfSetting(0, Finished("y")), OfSetting(1, Finished("y"))}});

  ExplainRequest request{.image = "picture", .question = "?"};
  request.intervention.mutable_pai();
  request.intervention.mutable_vcd();
  const auto explanation = Explain(*server.Connect(), {}, request);
  ASSERT_TRUE(explanation.ok()) << explanation.status();
  ASSERT_EQ(explanation->bands.size(), 1);
  EXPECT_EQ(explanation->bands[0].maps.size(), 1);
  EXPECT_EQ(explanation->sinks.size(), 2);
  const std::vector<v1::CompareRequest> requests = server.compare_requests();
  ASSERT_EQ(requests.size(), 3);
  EXPECT_EQ(requests[0].interventions(0).pai().detail(), v1::VAR_DETAIL_NONE);
  EXPECT_EQ(requests[1].interventions(1).pai().detail(), v1::VAR_DETAIL_MAPS);
  EXPECT_TRUE(requests[1].interventions(1).has_vcd());
  EXPECT_EQ(requests[2].settings(0).mode(), v1::VAR_MODE_OBSERVE);
  EXPECT_EQ(requests[2].settings(0).first_layer(), 2);
}

TEST(Explain, AsksForNoMapsWhereThereAreNone) {
  v1::Intervention spin;
  spin.mutable_spin()->set_last_layer(3);
  v1::Intervention contrast;
  contrast.mutable_vcd()->set_alpha(1);
  for (const v1::Intervention& setting : {spin, contrast}) {
    FakeServer server;
    server.SetModel(Model());
    server.Expect({});
    server.Expect(Probe(setting));
    server.Expect({.compare_responses = {OfSetting(0, Finished("no")), OfSetting(1, Finished("yes"))}});
    const auto explanation = Explain(*server.Connect(), {}, {.image = "picture", .intervention = setting});
    ASSERT_TRUE(explanation.ok()) << explanation.status();
    EXPECT_TRUE(explanation->bands.empty());
    const std::vector<v1::CompareRequest> requests = server.compare_requests();
    ASSERT_EQ(requests.size(), 2);
    EXPECT_EQ(requests[1].interventions_size(), 2);
    EXPECT_LE(requests[1].interventions(1).spin().detail(), v1::VAR_DETAIL_LAYERS);
    EXPECT_FALSE(requests[1].interventions(1).has_var());
  }
}

TEST(Explain, AsksForAnUpdateOfAnOlderServer) {
  FakeServer server;
  server.SetModel(Model());
  server.Expect({});
  server.Expect(Probe({}));
  const absl::Status status = Explain(*server.Connect(), {}, {.image = "picture"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

TEST(Explain, RefusesLayersThatCannotBe) {
  v1::Model model = Model();
  model.mutable_limits()->set_max_settings(std::numeric_limits<uint32_t>::max());
  for (const auto& [first, last] : {std::pair(3U, 2U), std::pair(0U, 7U), std::pair(0U, 4294967295U)}) {
    FakeServer server;
    server.SetModel(model);
    server.Expect({});
    v1::Intervention effective;
    effective.mutable_var()->set_first_layer(first);
    effective.mutable_var()->set_last_layer(last);
    server.Expect(Probe(effective));
    const absl::Status status =
        Explain(*server.Connect(), {}, {.image = "picture", .question = "?"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
    EXPECT_EQ(server.compare_requests().size(), 1);
  }
}

}  // namespace
}  // namespace varserve::client
