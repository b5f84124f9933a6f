# Sourced by ../dev: a server in the background for a while.
# Functions: start_server, stop_server.
# Reads: BUILD. Sets: ADDRESS, SERVER_LOG, SERVER_PID and an EXIT trap, which stops the server.

# start_server [FLAG...]: starts varserve-server on a free port and waits until it is ready. Sets ADDRESS; the server ends with
# the script. Its output goes to SERVER_LOG.
start_server() {
  SERVER_LOG=$(mktemp --suffix=.log)
  "$BUILD/bin/varserve-server" --listen 127.0.0.1:0 --http_listen 127.0.0.1:0 --metrics_listen "" "$@" >"$SERVER_LOG" 2>&1 &
  SERVER_PID=$!
  trap stop_server EXIT
  local port=""
  for ((i = 0; i < 1200; i++)); do
    kill -0 "$SERVER_PID" 2>/dev/null || {
      cat "$SERVER_LOG" >&2
      die "the server ended"
    }
    if grep -q ' ready' "$SERVER_LOG"; then
      port=$(sed -n 's/.*listening .*port=\([0-9]*\).*/\1/p' "$SERVER_LOG")
      break
    fi
    sleep 0.25
  done
  [[ -n $port ]] || die "the server was not ready in time; its log is $SERVER_LOG"
  # shellcheck disable=SC2034
  ADDRESS="127.0.0.1:$port"
}

stop_server() {
  trap - EXIT
  kill "$SERVER_PID" 2>/dev/null && wait "$SERVER_PID" 2>/dev/null
  rm -f "$SERVER_LOG"
}
