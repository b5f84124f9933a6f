#include "tests/testing/interpreted_kernels.h"

#include <c10/util/Exception.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"
#include "tests/testing/far_memory.h"
#include "tests/testing/test_device.h"

namespace varserve::testing {

using backend::Grid;
using backend::KernelArg;
using backend::KernelForm;
using nlohmann::json;

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
  return TestDevice() == "far" ? MakeFarRecorder() : nullptr;
}

void InterpretedKernels::Enqueue(const KernelForm& kernel, Grid grid,
                                 absl::Span<const KernelArg> args) const {
  std::vector<Argument> arguments;
  for (const KernelArg& arg : args) {
    if (arg.tensor() == nullptr) {
      const auto bits = static_cast<uint32_t>(arg.bits());
      arg.type() == 'f' ? arguments.emplace_back(std::bit_cast<float>(bits))
                        : arguments.emplace_back(static_cast<int32_t>(bits));
      continue;
    }
    TORCH_CHECK(arg.tensor()->is_cpu() == (TestDevice() == "cpu"), kernel.name,
                ": a tensor of another device: ", arg.tensor()->device().str());
    arguments.emplace_back(Place(*arg.tensor()));
  }
  testing::Enqueue([this, name = std::string(kernel.name), grid, arguments = std::move(arguments)] {
    Run(name, grid, arguments);
  });
}

void InterpretedKernels::Run(const std::string& kernel, Grid grid,
                             const std::vector<Argument>& arguments) const {
  std::map<const void*, int> indices;  // of storages that were met
  std::vector<c10::Storage> storages;  // each once
  json request = {{"kernel", kernel}, {"grid", {grid.x, grid.y, grid.z}}};
  request["storages"] = json::array();
  for (const Argument& argument : arguments) {
    const auto* const place = std::get_if<Place>(&argument);
    if (place == nullptr) {
      const auto* const integer = std::get_if<int32_t>(&argument);
      request["arguments"].push_back(integer != nullptr ? json(*integer) : json(std::get<float>(argument)));
      continue;
    }
    OnUsed(place->tensor(), /*writes=*/false);  // or true, which is not known here
    const c10::Storage storage = place->storage();
    const auto [found, is_new] = indices.emplace(storage.data(), static_cast<int>(storages.size()));
    if (is_new) {
      storages.push_back(storage);
      request["storages"].push_back(storage.nbytes());
    }
    request["arguments"].push_back({{"storage", found->second}, {"offset", place->byte_offset()}});
  }
  const std::string line = request.dump() + "\n";
  Write(channel_, line.data(), line.size());
  for (const c10::Storage& storage : storages) Write(channel_, Near(storage.data()), storage.nbytes());
  for (const c10::Storage& storage : storages) Read(channel_, Near(storage.data()), storage.nbytes());
}

}  // namespace varserve::testing
