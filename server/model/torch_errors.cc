#include "server/model/torch_errors.h"

#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <exception>
#include <new>

#include "absl/strings/str_cat.h"

namespace varserve::model {

absl::Status CatchTorchErrors(const std::function<absl::Status()>& body) {
  try {
    const c10::InferenceMode inference;
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("out of device memory: ", error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const c10::Error& error) {
    return absl::InternalError(absl::StrCat("model: ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("model: ", error.what()));
  }
}

}  // namespace varserve::model
