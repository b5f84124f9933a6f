// Listens and passes connections to a transport. Libraries' own listeners do not limit their number, or stop
// for good when the process has run out of file descriptors once. Thread-safe.
//
// A new connection is always accepted. If there are too many, the one that has been silent longest goes,
// among those of the address with the most connections.
#pragma once

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

namespace varserve::transport {

class ConnectionAcceptor {
 public:
  // Takes ownership of the socket. Called on the acceptor's thread.
  using OnConnection = std::function<void(int listener, int socket)>;

  // `address` is host:port, where port 0 picks a free one, or unix:PATH. UNAVAILABLE, beginning with the flag
  // that has the address, if it cannot listen there. Raises the process's limit on open files for this many
  // connections in addition to `other_files`, such as those of another acceptor, as far as possible.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Listen(absl::string_view flag,
                                                                    const std::string& address,
                                                                    int max_connections, int other_files = 0);
  ~ConnectionAcceptor();  // calls Stop()

  // Connections wait until then. Must be called once.
  void Start(OnConnection on_connection);
  // No connection is passed on after this.
  void Stop();

  int port() const { return port_; }  // 0 for a Unix socket
  // Whether only this machine can connect.
  bool local() const { return local_; }
  // The requested number, or as many as the limit on open files allows.
  int max_connections() const { return max_connections_; }
  // Bytes received so far on an open connection, by the name of its peer (peer.h). nullopt for a Unix socket.
  std::optional<int64_t> BytesReceived(absl::string_view peer) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A socket that the transport owns and may have closed: its number may then belong to another file.
  struct Connection {
    int socket = -1;
    ino_t inode = 0;
    std::string address;
    uint64_t number = 0;  // in order of acceptance
  };

  ConnectionAcceptor() = default;
  absl::Status ListenOn(const std::string& address);
  void Run();
  // False if the process is out of files or memory.
  bool AcceptOne(int listener) ABSL_LOCKS_EXCLUDED(mu_);
  void Add(std::string peer, Connection connection) ABSL_LOCKS_EXCLUDED(mu_);
  void ForgetClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Never the newest one.
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
  size_t look_again_at_ ABSL_GUARDED_BY(mu_) = 64;  // number of connections at which closed ones are removed
  uint64_t accepted_ ABSL_GUARDED_BY(mu_) = 0;      // connections
};

}  // namespace varserve::transport
