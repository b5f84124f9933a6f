// Describes to ThreadSanitizer how threads wait for each other in Debian's and LibTorch's libraries, which
// are not instrumented. Without this, every field guarded by an absl::Mutex, and everything passed between
// threads by gRPC or OpenMP, looks like a data race. Linked into every program of a thread-sanitized build.
// Functions defined in the program override the libraries' own functions of the same name, also for calls
// from gRPC. A function that is used but missing here (ReaderLock, LockWhen) causes false reports. The
// mangled names are those of Debian 12.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

// The library's function that a function in this file overrides.
template <typename Function>
Function* Library(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// absl's own detector of lock cycles is not instrumented either.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libabsl_graphcycles_internal.so\n";
}

// Code before a parallel region happens before all its threads, and they happen before the code after it.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned num_threads, unsigned flags) {
  struct Region {
    void (*body)(void*);
    void* data;
    char ended;
  } region{.body = body, .data = data, .ended = 0};
  static const auto parallel = Library<void(void (*)(void*), void*, unsigned, unsigned)>("GOMP_parallel");
  __tsan_release(&region);
  parallel(
      [](void* argument) {
        __tsan_acquire(argument);
        Region* const begun = static_cast<Region*>(argument);
        begun->body(begun->data);
        __tsan_release(&begun->ended);
      },
      &region, num_threads, flags);
  __tsan_acquire(&region.ended);
}

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static const auto lock = Library<void(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  lock(this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  static const auto try_lock = Library<bool(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = try_lock(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Unlock() {
  static const auto unlock = Library<void(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  unlock(this);
}

void Mutex::Await(const Condition& condition) {
  static const auto await =
      Library<void(Mutex*, const Condition&)>("_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  await(this, condition);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static const auto await = Library<bool(Mutex*, const Condition&, Duration)>(
      "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  const bool holds = await(this, condition, timeout);
  __tsan_acquire(this);
  return holds;
}

void CondVar::Wait(Mutex* mutex) {
  static const auto wait = Library<void(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  wait(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static const auto wait = Library<bool(CondVar*, Mutex*, Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool expired = wait(this, mutex, timeout);
  __tsan_acquire(mutex);
  return expired;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static const auto wait = Library<bool(CondVar*, Mutex*, Time)>(
      "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool expired = wait(this, mutex, deadline);
  __tsan_acquire(mutex);
  return expired;
}

void Notification::Notify() {
  static const auto notify = Library<void(Notification*)>("_ZN4absl7debian312Notification6NotifyEv");
  __tsan_release(this);
  notify(this);
}

void Notification::WaitForNotification() const {
  static const auto wait =
      Library<void(const Notification*)>("_ZNK4absl7debian312Notification19WaitForNotificationEv");
  wait(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

ABSL_NAMESPACE_END
}  // namespace absl

namespace grpc_core {

// gRPC's queues between threads use atomics that are not instrumented.
class MultiProducerSingleConsumerQueue {
 public:
  struct Node;
  bool Push(Node* node);
  Node* Pop();
  Node* PopAndCheckEnd(bool* empty);
};

bool MultiProducerSingleConsumerQueue::Push(Node* node) {
  static const auto push = Library<bool(MultiProducerSingleConsumerQueue*, Node*)>(
      "_ZN9grpc_core32MultiProducerSingleConsumerQueue4PushEPNS0_4NodeE");
  __tsan_release(this);
  return push(this, node);
}

MultiProducerSingleConsumerQueue::Node* MultiProducerSingleConsumerQueue::PopAndCheckEnd(bool* empty) {
  static const auto pop = Library<Node*(MultiProducerSingleConsumerQueue*, bool*)>(
      "_ZN9grpc_core32MultiProducerSingleConsumerQueue14PopAndCheckEndEPb");
  Node* const node = pop(this, empty);
  __tsan_acquire(this);
  return node;
}

MultiProducerSingleConsumerQueue::Node* MultiProducerSingleConsumerQueue::Pop() {
  bool empty = false;
  return PopAndCheckEnd(&empty);
}

}  // namespace grpc_core
