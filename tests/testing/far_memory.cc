#include "tests/testing/far_memory.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/testing/far_graph.h"

namespace varserve::testing {
namespace {

thread_local c10::StreamId current_stream = 0;

struct Copy {
  c10::StreamId stream;
  int64_t number;
  at::Tensor host;    // source or target, contiguous
  at::Tensor values;  // at the time of the call
  bool to_host;
};

bool HaveSameBytes(const at::Tensor& a, const at::Tensor& b) {
  return std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

// The last times that a stream used a piece of memory.
struct Use {
  int64_t number = -1;
  int64_t written = -1;
};

// What streams have done and who has waited for it.
class Timeline {
 public:
  static Timeline& Instance() {
    static auto* const timeline = new Timeline;  // memory may be freed as the program ends
    return *timeline;
  }

  c10::StreamId NewStream() {
    absl::MutexLock lock(&mu_);
    return ++last_stream_;
  }
  int64_t Mark() {
    absl::MutexLock lock(&mu_);
    return next_number_;
  }

  void OnAllocated(const void* memory) {
    absl::MutexLock lock(&mu_);
    memory_[memory] = {.stream = current_stream, .uses = {}};
  }
  void OnFreed(const void* memory) {
    absl::MutexLock lock(&mu_);
    const auto found = memory_.find(memory);
    if (found == memory_.end()) return;
    for (const auto& [stream, use] : found->second.uses) {
      if (stream != found->second.stream && !IsDone(stream, use.number))
        problem_ = "memory was freed while another stream than its own used it";
    }
    memory_.erase(found);
  }
  void OnUsed(const void* memory, bool writes) {
    absl::MutexLock lock(&mu_);
    const auto found = memory_.find(memory);
    if (found == memory_.end()) return;
    for (const auto& [stream, use] : found->second.uses) {
      const bool done = IsDone(stream, writes ? use.number : use.written);
      TORCH_CHECK(stream == current_stream || done,
                  "another stream's work on this memory was not waited for");
    }
    Use& use = found->second.uses[current_stream];
    use.number = next_number_++;
    if (writes) use.written = use.number;
  }

  void Add(const at::Tensor& host, const at::Tensor& values, bool to_host) {
    TORCH_CHECK(host.is_contiguous(), "a copy that is not waited for is of contiguous memory");
    absl::MutexLock lock(&mu_);
    copies_.push_back({current_stream, next_number_++, host, values, to_host});
  }
  void WaitFor(c10::StreamId stream, int64_t mark) {
    absl::MutexLock lock(&mu_);
    int64_t& done = done_[stream];
    done = std::max(done, std::min(mark, next_number_));
    std::vector<Copy> under_way;
    for (Copy& copy : copies_) {
      if (!IsDone(copy.stream, copy.number)) {
        under_way.push_back(std::move(copy));
      } else if (copy.to_host) {
        copy.host.copy_(copy.values);
      } else if (!HaveSameBytes(copy.host, copy.values)) {
        problem_ = "pinned memory changed before the device had copied it";
      }
    }
    copies_ = std::move(under_way);
    const std::string problem = std::exchange(problem_, "");
    TORCH_CHECK(problem.empty(), problem);
  }

 private:
  struct Memory {
    c10::StreamId stream;  // that it was allocated on
    std::map<c10::StreamId, Use> uses;
  };

  bool IsDone(c10::StreamId stream, int64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return number < done_[stream];
  }

  absl::Mutex mu_;
  c10::StreamId last_stream_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t next_number_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<c10::StreamId, int64_t> done_ ABSL_GUARDED_BY(mu_);  // everything before
  std::map<const void*, Memory> memory_ ABSL_GUARDED_BY(mu_);
  std::vector<Copy> copies_ ABSL_GUARDED_BY(mu_);
  std::string problem_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

at::Tensor Near(const at::Tensor& t) {
  if (t.is_cpu()) return t;
  const at::TensorOptions options = t.options().device(at::kCPU);
  if (t.numel() == 0) return at::empty(t.sizes(), options);
  return at::from_blob(Near(t.const_data_ptr()), t.sizes(), t.strides(), options);
}

c10::StreamId CurrentStream() { return current_stream; }
c10::StreamId SetCurrentStream(c10::StreamId stream) { return std::exchange(current_stream, stream); }
c10::StreamId NewStream() { return Timeline::Instance().NewStream(); }

int64_t Mark() { return Timeline::Instance().Mark(); }
void WaitFor(c10::StreamId stream, int64_t mark) {
  RefuseInGraph("waiting for the device");
  Timeline::Instance().WaitFor(stream, mark);
}

void OnAllocated(const void* memory) { Timeline::Instance().OnAllocated(memory); }
void OnFreed(const void* memory) { Timeline::Instance().OnFreed(memory); }
void OnUsed(const at::Tensor& t, bool writes) {
  if (!t.is_cpu() && t.numel() > 0) Timeline::Instance().OnUsed(t.storage().data(), writes);
}

void CopyToHostLater(const at::Tensor& near, const at::Tensor& to) {
  Timeline::Instance().Add(to, near.clone(at::MemoryFormat::Contiguous), /*to_host=*/true);
  std::memset(to.mutable_data_ptr(), 0xff, to.nbytes());  // NaN
}

void CopyToDeviceLater(const at::Tensor& from, const at::Tensor& near) {
  near.copy_(from);
  Timeline::Instance().Add(from, from.clone(), /*to_host=*/false);
}

}  // namespace varserve::testing
