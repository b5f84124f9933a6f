#include "tests/testing/interpreted_kernels.h"

#include <c10/util/Exception.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"

namespace varserve::testing {

using backend::Grid;
using backend::KernelArg;
using backend::KernelForm;

namespace {

constexpr char kCommand[] = "VARSERVE_KERNEL_INTERPRETER";

void Write(int to, const void* bytes, size_t count) {
  for (const char* at = static_cast<const char*>(bytes); count > 0;) {
    const ssize_t written = ::send(to, at, count, MSG_NOSIGNAL);
    TORCH_CHECK(written > 0, "the kernels' interpreter has ended; its message is above");
    at += written;
    count -= static_cast<size_t>(written);
  }
}

void Read(int from, void* bytes, size_t count) {
  for (char* at = static_cast<char*>(bytes); count > 0;) {
    const ssize_t got = ::read(from, at, count);
    TORCH_CHECK(got > 0, "the kernels' interpreter has ended; its message is above");
    at += got;
    count -= static_cast<size_t>(got);
  }
}

class WorkGraph : public backend::Graph {
 public:
  explicit WorkGraph(std::function<void()> work) : work_(std::move(work)) {}
  void Launch() const override { work_(); }

 private:
  const std::function<void()> work_;
};

class WorkRecorder : public backend::GraphRecorder {
 public:
  absl::StatusOr<std::unique_ptr<const backend::Graph>> Record(
      const std::function<void()>& work) const override {
    return std::make_unique<const WorkGraph>(work);
  }
};

}  // namespace

std::string InterpretedKernels::WhyNot() {
  return std::getenv(kCommand) != nullptr ? "" : absl::StrCat(kCommand, " is not set; ./dev test sets it");
}

std::shared_ptr<const InterpretedKernels> InterpretedKernels::Start() {
  const char* command = std::getenv(kCommand);
  if (command == nullptr) return nullptr;
  return std::shared_ptr<const InterpretedKernels>(new InterpretedKernels(command));
}

InterpretedKernels::InterpretedKernels(const char* command) {
  int ends[2];
  TORCH_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  channel_ = ends[0];
  child_ = ::fork();
  TORCH_CHECK(child_ >= 0);
  if (child_ == 0) {
    ::dup2(ends[1], STDIN_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl("/bin/sh", "sh", "-c", command, nullptr);
    std::_Exit(127);
  }
  ::close(ends[1]);
}

InterpretedKernels::~InterpretedKernels() {
  ::close(channel_);
  ::waitpid(child_, nullptr, 0);
}

absl::StatusOr<const KernelForm*> InterpretedKernels::Find(absl::string_view name) const {
  for (const Named& named : found_) {
    if (named.name == name) return &named.form;
  }
  for (const KernelForm& form : backend::EmbeddedKernels()) {
    if (form.name != absl::StrReplaceAll(name, {{"fp32", "bf16"}})) continue;
    Named& named = found_.emplace_back(Named{std::string(name), form});
    named.form.name = named.name.c_str();
    return &named.form;
  }
  return absl::NotFoundError(absl::StrCat("no kernel ", name));
}

std::unique_ptr<const backend::GraphRecorder> InterpretedKernels::MakeRecorder() const {
  return std::make_unique<const WorkRecorder>();
}

void InterpretedKernels::Enqueue(const KernelForm& kernel, Grid grid,
                                 absl::Span<const KernelArg> args) const {
  std::map<const void*, int> indices;  // of storages that were met
  std::vector<at::Tensor> tensors;     // one of each storage
  nlohmann::json request = {{"kernel", kernel.name}, {"grid", {grid.x, grid.y, grid.z}}};
  request["storages"] = nlohmann::json::array();
  for (const KernelArg& arg : args) {
    if (arg.tensor() == nullptr) {
      const auto bits = static_cast<uint32_t>(arg.bits());
      arg.type() == 'f' ? request["arguments"].push_back(std::bit_cast<float>(bits))
                        : request["arguments"].push_back(static_cast<int32_t>(bits));
      continue;
    }
    const at::Tensor& tensor = *arg.tensor();
    const auto [found, is_new] = indices.emplace(tensor.storage().data(), static_cast<int>(tensors.size()));
    if (is_new) {
      tensors.push_back(tensor);
      request["storages"].push_back(tensor.storage().nbytes());
    }
    request["arguments"].push_back({{"storage", found->second},
                                    {"offset", static_cast<const char*>(tensor.data_ptr()) -
                                                   static_cast<const char*>(tensor.storage().data())}});
  }
  const std::string line = request.dump() + "\n";
  Write(channel_, line.data(), line.size());
  for (const at::Tensor& tensor : tensors)
    Write(channel_, tensor.storage().data(), tensor.storage().nbytes());
  for (const at::Tensor& tensor : tensors)
    Read(channel_, tensor.storage().mutable_data(), tensor.storage().nbytes());
}

}  // namespace varserve::testing
