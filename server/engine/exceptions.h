// Catches exceptions on the engine's thread. Nothing in engine/ throws on purpose, but memory can run out
// anywhere, and sinks call libraries that throw. Thread-safe.
#pragma once

#include <exception>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varserve::engine {

// Runs `body`. Returns RESOURCE_EXHAUSTED if memory ran out, INTERNAL for any other exception.
template <typename Body>
absl::Status CatchExceptions(const Body& body) {
  try {
    body();
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("server: out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("server: ", error.what()));
  } catch (...) {
    return absl::InternalError("server: an exception of an unknown type");
  }
}

}  // namespace varserve::engine
