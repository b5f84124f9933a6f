#include "server/passive_openmp.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace varserve {

void UsePassiveOpenMp(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  // A short spin, some 20 microseconds, covers the gap between two layers' loops; sleeping there would cost
  // more.
  setenv("GOMP_SPINCOUNT", "5000", /*overwrite=*/1);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv(program.c_str(), argv);
  // Where that is not possible the program goes on as it is.
}

}  // namespace varserve
