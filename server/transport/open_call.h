// A call that is watched while it is open (open_calls.h); each transport implements it. Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace varserve::transport {

class OpenCall {
 public:
  virtual ~OpenCall() = default;

  virtual const std::string& peer() const = 0;    // the connection
  virtual const std::string& caller() const = 0;  // the name of the token, else the address
  // Ends the call with `status` as soon as the write in flight is done; drops unsent messages.
  virtual void Abort(const absl::Status& status) = 0;
  // Like Abort, but does not wait for a reader that has not taken the write for `unread`; that reader gets
  // CANCELLED.
  virtual void Break(absl::Duration unread) = 0;
  // How long the write in flight has waited for its reader; zero if there is none.
  virtual absl::Duration write_age(absl::Time now) const = 0;
};

}  // namespace varserve::transport
