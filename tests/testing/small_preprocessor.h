// A preprocessor for tests that need one, whichever it is: tests/golden/text/llama, with pictures of 2 x 2
// visual tokens. Thread-safe.
#pragma once

#include <memory>

#include "server/chat/preprocessor.h"

namespace varserve::testing {

std::unique_ptr<const chat::Preprocessor> LoadSmallPreprocessor();

}  // namespace varserve::testing
