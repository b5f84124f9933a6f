// Listens, and hands the connections to gRPC, whose own listener neither limits their number nor goes on
// after the process has once run out of file descriptors. Thread-safe.
//
// A new connection always gets in: where there are too many, the one goes that was silent for longest among
// those of the address that has most.
#pragma once

#include <grpcpp/server_builder.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace varserve::rpc {

class ConnectionAcceptor {
 public:
  // Takes a socket over, to close it some time. On the acceptor's thread.
  using OnConnection = std::function<void(int listener, int socket)>;

  // `address` is host:port, where port 0 picks a free one, or unix:PATH. UNAVAILABLE if it cannot listen
  // there. Raises the process's limit on open files to what so many connections need, as far as that goes.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Listen(const std::string& address,
                                                                    int max_connections);
  ~ConnectionAcceptor();  // Stop()

  // Connections wait until then. To be called once.
  void Start(OnConnection on_connection);
  void Start(
      grpc::experimental::ExternalConnectionAcceptor* grpc);  // which must outlive the acceptor's thread
  // No connection is handed over any more.
  void Stop();

  int port() const { return port_; }  // 0 of a Unix socket
  // Nobody on another machine can connect.
  bool local() const { return local_; }
  // As many as asked for, or as the limit on open files allows.
  int max_connections() const { return max_connections_; }
  // What has come through an open connection so far, by gRPC's name of its peer. None of a Unix socket.
  std::optional<int64_t> BytesReceived(absl::string_view peer) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A socket that gRPC owns, and may have closed: its number may then be another file's.
  struct Connection {
    int socket = -1;
    ino_t inode = 0;
    std::string address;
    uint64_t number = 0;  // in order of acceptance
  };

  ConnectionAcceptor() = default;
  absl::Status ListenOn(const std::string& address);
  void Run();
  // False if the listener has no more connections to accept.
  bool AcceptOne(int listener) ABSL_LOCKS_EXCLUDED(mu_);
  void Add(std::string peer, Connection connection) ABSL_LOCKS_EXCLUDED(mu_);
  void ForgetClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Not the newest.
  void CloseOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  int max_connections_ = 0;
  int port_ = 0;
  bool local_ = true;
  std::string path_;  // of a Unix socket
  ino_t path_inode_ = 0;
  std::vector<int> listeners_;
  int stop_event_ = -1;
  OnConnection on_connection_;
  std::thread thread_;

  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, Connection> connections_ ABSL_GUARDED_BY(mu_);  // by peer
  size_t look_again_at_ ABSL_GUARDED_BY(mu_) = 64;  // connections; then the closed ones are forgotten
  uint64_t accepted_ ABSL_GUARDED_BY(mu_) = 0;      // connections
};

}  // namespace varserve::rpc
