#include "tests/testing/far_work.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace varserve::testing {
namespace {

using Work = std::vector<std::function<void()>>;

thread_local Work* recording = nullptr;
thread_local c10::StreamId current_stream = 0;
std::atomic<c10::StreamId> last_stream = 0;

class FarGraph : public backend::Graph {
 public:
  explicit FarGraph(Work work) : work_(std::move(work)) {}
  void Launch() const override {
    for (const auto& work : work_) work();
  }

 private:
  const Work work_;
};

class FarRecorder : public backend::GraphRecorder {
 public:
  absl::StatusOr<std::unique_ptr<const backend::Graph>> Record(
      const std::function<void()>& work) const override {
    if (current_stream == 0) return absl::InternalError("the default stream cannot be recorded");
    Work recorded;
    recording = &recorded;
    absl::Status status;
    try {
      work();
    } catch (const std::exception& error) {
      status = absl::InternalError(error.what());
    }
    recording = nullptr;
    if (!status.ok()) return status;
    return std::make_unique<const FarGraph>(std::move(recorded));
  }
};

struct Copy {
  c10::StreamId stream;
  int64_t number;
  at::Tensor host;    // source or target, contiguous
  at::Tensor values;  // at the time of the call
  bool to_host;
};

bool SameBytes(const at::Tensor& a, const at::Tensor& b) {
  return std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

absl::Mutex mu;
std::vector<Copy> copies ABSL_GUARDED_BY(mu);
int64_t next_number ABSL_GUARDED_BY(mu) = 0;

void Add(const at::Tensor& host, const at::Tensor& values, bool to_host) {
  TORCH_CHECK(host.is_contiguous(), "a copy that is not waited for is of contiguous memory");
  absl::MutexLock lock(&mu);
  copies.push_back({current_stream, next_number++, host, values, to_host});
}

}  // namespace

at::Tensor Near(const at::Tensor& t) {
  if (t.is_cpu()) return t;
  const at::TensorOptions options = t.options().device(at::kCPU);
  if (t.numel() == 0) return at::empty(t.sizes(), options);
  return at::from_blob(Near(t.const_data_ptr()), t.sizes(), t.strides(), options);
}

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

void RefuseInGraph(const char* what) { TORCH_CHECK(!IsRecording(), what, " while a graph is recorded"); }

std::unique_ptr<const backend::GraphRecorder> MakeFarRecorder() {
  return std::make_unique<const FarRecorder>();
}

c10::StreamId CurrentStream() { return current_stream; }
c10::StreamId SetCurrentStream(c10::StreamId stream) { return std::exchange(current_stream, stream); }
c10::StreamId NewStream() { return ++last_stream; }

void CopiesUnderWay::ToHost(const at::Tensor& near, const at::Tensor& to) {
  Add(to, near.clone(at::MemoryFormat::Contiguous), /*to_host=*/true);
  std::memset(to.mutable_data_ptr(), 0xff, to.nbytes());  // NaN
}

void CopiesUnderWay::ToDevice(const at::Tensor& from) { Add(from, from.clone(), /*to_host=*/false); }

int64_t CopiesUnderWay::Mark() {
  absl::MutexLock lock(&mu);
  return next_number;
}

void CopiesUnderWay::Finish(c10::StreamId stream, int64_t mark) {
  absl::MutexLock lock(&mu);
  std::erase_if(copies, [&](Copy& copy) {
    if (copy.stream != stream || copy.number >= mark) return false;
    if (copy.to_host) copy.host.copy_(copy.values);
    TORCH_CHECK(SameBytes(copy.host, copy.values), "pinned memory changed before the device had copied it");
    return true;
  });
}

}  // namespace varserve::testing
