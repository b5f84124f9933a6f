#include "server/passive_openmp.h"

#include <unistd.h>

#include <cstdlib>

namespace varserve {

void UsePassiveOpenMp(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  // A short spin, some 20 microseconds, covers the gap between two layers' loops; sleeping there would cost more.
  setenv("GOMP_SPINCOUNT", "5000", /*overwrite=*/1);
  execv("/proc/self/exe", argv);
  // Where that is not possible the program goes on as it is.
}

}  // namespace varserve
