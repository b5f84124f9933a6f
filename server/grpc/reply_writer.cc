#include "server/grpc/reply_writer.h"

#include <utility>

namespace varserve::rpc {

ReplyWriter::ReplyWriter() : thread_([this] { Run(); }) {}

ReplyWriter::~ReplyWriter() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void ReplyWriter::Post(absl::AnyInvocable<void()> write) {
  absl::MutexLock lock(&mu_);
  posted_.push_back(std::move(write));
}

void ReplyWriter::Run() {
  const absl::Condition has_work(this, &ReplyWriter::HasWork);  // other threads' Unlock reads it
  std::vector<absl::AnyInvocable<void()>> writes;
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(has_work);
      if (posted_.empty()) return;
      writes.swap(posted_);
    }
    for (absl::AnyInvocable<void()>& write : writes) write();
    writes.clear();
  }
}

}  // namespace varserve::rpc
