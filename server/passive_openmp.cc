#include "server/passive_openmp.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace varserve {

void UsePassiveOpenMp(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  // A short spin, some tens of microseconds, covers the gap between two layers' loops; sleeping there costs a
  // third of a decode step. Where a process has more threads than processors, and a model loaded by one
  // thread and run by another has, libgomp cuts the spin to 1000 rounds under this policy, and to a useless
  // 100 under its default.
  setenv("OMP_WAIT_POLICY", "active", /*overwrite=*/1);
  setenv("GOMP_SPINCOUNT", "5000", /*overwrite=*/1);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv(program.c_str(), argv);
  // If that is not possible, the program continues as it is.
}

}  // namespace varserve
