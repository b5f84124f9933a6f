#include "server/backend/cuda/driver_graphs.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varserve::backend {
namespace {

constexpr int kThreadLocalCapture = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

CUstream CurrentStream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

class DriverGraph : public Graph {
 public:
  DriverGraph(const Driver& driver, at::Device device, CUgraphExec executable)
      : driver_(driver), device_(device), executable_(executable) {}
  ~DriverGraph() override { driver_.cuGraphExecDestroy(executable_); }

  void Launch() const override {
    const CUresult result = driver_.cuGraphLaunch(executable_, CurrentStream(device_));
    TORCH_CHECK(result == 0, "graph: ", driver_.Message(result));
  }

 private:
  const Driver driver_;
  const at::Device device_;
  const CUgraphExec executable_;
};

class DriverRecorder : public GraphRecorder {
 public:
  DriverRecorder(const Driver& driver, at::Device device) : driver_(driver), device_(device) {}

  absl::StatusOr<std::unique_ptr<const Graph>> Record(const std::function<void()>& work) const override {
    CUstream const stream = CurrentStream(device_);
    CUresult result = driver_.cuStreamBeginCapture_v2(stream, kThreadLocalCapture);
    if (result != 0) return Failed(driver_.Message(result));
    // The stream must leave the capture whatever happens.
    std::string problem;
    try {
      work();
    } catch (const std::exception& error) {
      problem = error.what();
    }
    CUgraph graph = nullptr;
    result = driver_.cuStreamEndCapture(stream, &graph);
    if (!problem.empty() || result != 0) {
      if (graph != nullptr) driver_.cuGraphDestroy(graph);
      return Failed(problem.empty() ? driver_.Message(result) : problem);
    }
    CUgraphExec executable = nullptr;
    result = driver_.cuGraphInstantiateWithFlags(&executable, graph, 0);
    driver_.cuGraphDestroy(graph);
    if (result != 0) return Failed(driver_.Message(result));
    return std::make_unique<const DriverGraph>(driver_, device_, executable);
  }

 private:
  static absl::Status Failed(const std::string& why) {
    return absl::InternalError(absl::StrCat("a step cannot be recorded as a graph: ", why));
  }

  const Driver driver_;
  const at::Device device_;
};

}  // namespace

std::unique_ptr<const GraphRecorder> MakeDriverRecorder(const Driver& driver, at::Device device) {
  return std::make_unique<const DriverRecorder>(driver, device);
}

}  // namespace varserve::backend
