#include "server/backend/table/instruction_set.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/flag_values.h"
#include "server/base/status_macros.h"

namespace varserve::backend {

std::string Refusal(const cpu::InstructionSet& set) {
  return absl::StrCat("the operating system does not let this process use the processor's ", set.name,
                      " (Linux does from 5.16 on, some sandboxes do not)");
}

absl::StatusOr<const cpu::CpuKernels*> KernelsFor(const std::string& isa,
                                                  absl::Span<const cpu::InstructionSet> sets) {
  std::vector<std::string> names = {"auto"};
  std::vector<std::string> present;
  for (const cpu::InstructionSet& set : sets) {
    names.emplace_back(set.name);
    if (set.kernels != nullptr) present.emplace_back(set.name);
  }
  ASSIGN_OR_RETURN(const int choice, FlagChoice("isa", isa, std::move(names)));
  if (choice == 0) return cpu::Fastest({sets.data(), sets.size()});
  const cpu::InstructionSet& set = sets[choice - 1];
  if (set.kernels != nullptr) return set.kernels;
  return InvalidFlag(
      "isa", absl::StrCat(set.refused ? Refusal(set)
                                      : absl::StrCat("this processor or its operating system has no ", isa),
                          "; there are ", absl::StrJoin(present, ", ")));
}

}  // namespace varserve::backend
