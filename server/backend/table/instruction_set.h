// Which of the CPU's kernels a process uses, by name.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend {

// The kernels for a value of --isa: auto, the last that are there, or a set's name. Errors begin with --isa.
absl::StatusOr<const cpu::CpuKernels*> KernelsFor(const std::string& isa,
                                                  absl::Span<const cpu::InstructionSet> sets);

// What to say of a set that is refused.
std::string Refusal(const cpu::InstructionSet& set);

}  // namespace varserve::backend
