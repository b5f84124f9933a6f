// Tells ThreadSanitizer about absl::Mutex and absl::CondVar, whose code in Debian's library is not
// instrumented: without this every field they guard looks like a data race. Part of every program of a
// thread-sanitized build; Sanitizers.cmake has the linker send the calls here (--wrap). A function that is
// used and not here (Await, WaitWithTimeout, ReaderLock) shows as false races: add it in both places.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"

extern "C" {

// The library's own detector of lock cycles, not instrumented either.
const char* __tsan_default_suppressions() { return "called_from_lib:libabsl_graphcycles_internal.so\n"; }

void __real__ZN4absl7debian35Mutex4LockEv(absl::Mutex* mutex);
void __real__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex* mutex);
void __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* condition, absl::Mutex* mutex);
bool __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(absl::CondVar* condition,
                                                                              absl::Mutex* mutex,
                                                                              absl::Time deadline);

void __wrap__ZN4absl7debian35Mutex4LockEv(absl::Mutex* mutex) {
  __real__ZN4absl7debian35Mutex4LockEv(mutex);
  __tsan_acquire(mutex);
}

void __wrap__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex* mutex) {
  __tsan_release(mutex);
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
}

void __wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* condition, absl::Mutex* mutex) {
  __tsan_release(mutex);
  __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(condition, mutex);
  __tsan_acquire(mutex);
}

bool __wrap__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(absl::CondVar* condition,
                                                                              absl::Mutex* mutex,
                                                                              absl::Time deadline) {
  __tsan_release(mutex);
  const bool expired =
      __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(condition, mutex, deadline);
  __tsan_acquire(mutex);
  return expired;
}

}  // extern "C"
