// An image processor of a test's own configuration.
#pragma once

#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/image/clip_image_processor.h"
#include "tests/testing/image_span.h"

namespace varserve::testing {

// `config` as preprocessor_config.json has it, and right.
inline image::ClipImageProcessor MakeClipProcessor(
    const nlohmann::json& config, std::shared_ptr<const ImageLayout> layout = MakeLayout(1, 1, 1)) {
  const auto parsed = image::ClipImageProcessorConfig::Parse(config);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return {*parsed, std::move(layout)};
}

}  // namespace varserve::testing
