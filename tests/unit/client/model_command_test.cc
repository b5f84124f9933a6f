// What `varserve model` shows.
#include <gmock/gmock.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/commands/model.h"
#include "tests/unit/client/command_testing.h"

namespace varserve::cli {
namespace {

using ::testing::HasSubstr;

using ModelCommandTest = CommandTest;

TEST_F(ModelCommandTest, ShowsWhatIsServed) {
  v1::Model model;
  model.set_name("llava\x1b");
  model.mutable_decoder()->set_layers(30);
  server_.SetModel(model);
  server_.Expect({});
  EXPECT_EQ(Run<ModelCommand>({"model"}), kExitOk);
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("llava\uFFFD\n"), HasSubstr("30 layers"), HasSubstr("VAR can only be off")));
}

TEST_F(ModelCommandTest, AProfileOfAFlagHasNoDecoder) {
  v1::Model model;
  v1::VarProfile& profile = *model.mutable_var_profile();
  profile.add_sink_dimensions(1415);
  profile.set_tau(20);
  profile.set_source("flag --sink_dimensions");
  for (const auto& [decoder, shown] :
       {std::pair("", "(source: flag"), std::pair("Mistral-7B", "(Mistral-7B; source: flag")}) {
    profile.set_decoder(decoder);
    server_.SetModel(model);
    server_.Expect({});
    EXPECT_EQ(Run<ModelCommand>({"model"}), kExitOk);
    EXPECT_THAT(out_.str(), HasSubstr(absl::StrCat("sink dimensions 1415, tau 20 ", shown)));
  }
}

}  // namespace
}  // namespace varserve::cli
