#include "server/model/finite_weights.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/model/checkpoint.h"
#include "server/model/device.h"
#include "server/model/stored_tensor.h"
#include "server/model/torch_errors.h"

namespace varserve::model {
namespace {

constexpr int64_t kPiece = 1 << 20;  // values that are looked at together, for which there is memory

bool IsFinite(const at::Tensor& stored, at::ScalarType dtype) {
  const at::Tensor values = stored.view({-1});
  for (int64_t begin = 0; begin < values.size(0); begin += kPiece) {
    const at::Tensor piece = values.narrow(0, begin, std::min(kPiece, values.size(0) - begin));
    if (!piece.to(dtype).isfinite().all().item<bool>()) return false;
  }
  return true;
}

}  // namespace

absl::Status CheckWeightsAreFinite(const std::string& model_dir, const VisionLanguageModel& model) {
  return CatchTorchErrors([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(model_dir, *model.config().family));
    for (const auto& [name, entry] : checkpoint.tensors()) {
      if (!FloatTypes().contains(entry.info.dtype)) continue;
      ASSIGN_OR_RETURN(const at::Tensor stored,
                       StoredTensor(checkpoint, name, entry.info.shape, FloatTypes()));
      const std::string tensor = absl::StrCat(entry.file->name(), ": tensor ", entry.stored_name);
      if (!IsFinite(stored, stored.scalar_type()))
        return absl::FailedPreconditionError(
            absl::StrCat(tensor, " has a value that is not finite; download it again, or ask who made it"));
      if (!IsFinite(stored, model.dtype()))
        return absl::FailedPreconditionError(absl::StrCat(tensor, " has a value that is too large for ",
                                                          DtypeName(model.dtype()),
                                                          "; give another --dtype"));
    }
    return absl::OkStatus();
  });
}

}  // namespace varserve::model
