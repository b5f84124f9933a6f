#include "server/backend/cuda/kernels.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace varserve::backend {
namespace {

size_t Count(absl::string_view text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(EmbeddedKernelsTest, EveryKernelIsThereForEveryGpu) {
  std::set<std::string> names;
  std::set<std::string> forms;
  for (const KernelForm& form : EmbeddedKernels()) {
    names.insert(form.name);
    forms.insert(absl::StrCat(form.name, " ", form.capability));
    const absl::string_view ptx = form.ptx;
    EXPECT_TRUE(absl::StrContains(ptx, absl::StrCat(".target sm_", form.capability))) << form.name;
    EXPECT_TRUE(absl::StrContains(ptx, absl::StrCat(".entry ", form.entry, "("))) << form.name;
    // The function's parameters are the arguments and Triton's two.
    EXPECT_EQ(Count(ptx.substr(0, ptx.find(')')), absl::StrCat(" ", form.entry, "_param_")),
              std::strlen(form.arguments) + 2)
        << form.name;
    EXPECT_LE(form.shared_bytes, (form.capability == 80 ? 99 : 227) << 10) << form.name;
  }
  EXPECT_EQ(names.size(), 62U);
  EXPECT_EQ(forms.size(), 3 * names.size());
}

// Counts launches.
class CountingKernels final : public Kernels {
 public:
  absl::StatusOr<const KernelForm*> Find(absl::string_view) const override { return &form; }
  std::unique_ptr<const GraphRecorder> MakeRecorder() const override { return nullptr; }
  const KernelForm form = {.name = "add", .entry = "add", .arguments = "pif"};
  mutable int launches = 0;

 private:
  void Enqueue(const KernelForm&, Grid, absl::Span<const KernelArg>) const override { ++launches; }
};

TEST(KernelsTest, LaunchChecksItsArguments) {
  const CountingKernels kernels;
  const at::Tensor t = at::zeros({1});
  kernels.Launch(kernels.form, {1, 2, 3}, {t, 4, 0.5F});
  EXPECT_EQ(kernels.launches, 1);
  kernels.Launch(kernels.form, {1, 0, 3}, {t, 4, 0.5F});
  EXPECT_EQ(kernels.launches, 1) << "an empty grid is nothing to do";
  EXPECT_THROW(kernels.Launch(kernels.form, {1}, {t, 4}), c10::Error);
  EXPECT_THROW(kernels.Launch(kernels.form, {1}, {t, 0.5F, 4}), c10::Error);
  EXPECT_THROW(kernels.Launch(kernels.form, {1}, {t, int64_t{1} << 31, 0.5F}), c10::Error);

  const KernelForm aligned = {.name = "add", .entry = "add", .arguments = "PIf"};
  const at::Tensor many = at::zeros({8});
  kernels.Launch(aligned, {1}, {many, 32, 0.5F});
  kernels.Launch(aligned, {1}, {many.narrow(0, 4, 4), 32, 0.5F});
  EXPECT_EQ(kernels.launches, 3);
  EXPECT_THROW(kernels.Launch(aligned, {1}, {many, 40, 0.5F}), c10::Error);
  EXPECT_THROW(kernels.Launch(aligned, {1}, {many.narrow(0, 1, 4), 32, 0.5F}), c10::Error);
}

}  // namespace
}  // namespace varserve::backend
