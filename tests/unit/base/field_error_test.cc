#include "server/base/field_error.h"

#include "gtest/gtest.h"

namespace varserve {
namespace {

TEST(FieldErrorTest, BeginsWithTheFieldsName) {
  EXPECT_EQ(Invalid("messages", "at least one"), absl::InvalidArgumentError("messages: at least one"));
}

TEST(FieldErrorTest, PrefixGoesBeforeTheFieldsName) {
  const absl::Status status = Prefixed("request.", Invalid("messages", "at least one"));
  EXPECT_EQ(status, absl::InvalidArgumentError("request.messages: at least one"));
}

}  // namespace
}  // namespace varserve
