#include "tests/testing/far_graph.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "tests/testing/far_memory.h"

namespace varserve::testing {
namespace {

using Work = std::vector<std::function<void()>>;

thread_local Work* recording = nullptr;
thread_local bool launching = false;

class FarGraph : public backend::Graph {
 public:
  explicit FarGraph(Work work) : work_(std::move(work)) {}
  void Launch() const override {
    launching = true;
    const absl::Cleanup launched = [] { launching = false; };
    for (const auto& work : work_) work();
  }

 private:
  const Work work_;
};

class FarRecorder : public backend::GraphRecorder {
 public:
  absl::StatusOr<std::unique_ptr<const backend::Graph>> Record(
      const std::function<void()>& work) const override {
    if (CurrentStream() == 0) return absl::InternalError("the default stream cannot be recorded");
    Work recorded;
    recording = &recorded;
    const absl::Cleanup ended = [] { recording = nullptr; };
    try {
      work();
    } catch (const std::exception& error) {
      return absl::InternalError(error.what());
    }
    return std::make_unique<const FarGraph>(std::move(recorded));
  }
};

}  // namespace

Place::Place(const at::Tensor& t)
    : kept_(t.is_cpu() || t.numel() == 0 ? t : at::Tensor()),
      storage_(t.storage().getWeakStorageImpl()),
      keys_(t.key_set()),
      type_(t.dtype()),
      sizes_(t.sizes().vec()),
      strides_(t.strides().vec()),
      offset_(t.storage_offset()) {}

c10::Storage Place::storage() const {
  c10::intrusive_ptr<c10::StorageImpl> storage = storage_.lock();
  TORCH_CHECK(storage.defined(), "a graph uses memory that was freed");
  return c10::Storage(std::move(storage));
}

at::Tensor Place::tensor() const {
  at::Tensor t = at::detail::make_tensor<c10::TensorImpl>(storage(), keys_, type_);
  t.unsafeGetTensorImpl()->set_sizes_and_strides(sizes_, strides_, offset_);
  return t;
}

void Enqueue(std::function<void()> work) {
  if (recording == nullptr) return work();
  recording->push_back(std::move(work));
}

bool IsRecording() { return recording != nullptr; }

void RefuseInGraph(const char* what) { TORCH_CHECK(!IsRecording() && !launching, what, " in a graph"); }

std::unique_ptr<const backend::GraphRecorder> MakeFarRecorder() {
  return std::make_unique<const FarRecorder>();
}

}  // namespace varserve::testing
