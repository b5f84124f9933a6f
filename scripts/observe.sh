# Sourced by ../dev: Prometheus, Grafana and traffic around a real server, and what is written from code for them.
# Functions: observe_usage, ensure_observe_venv, write_observe_files, test_observe.
# Reads: ROOT. Sets: PYTHON; BUILD in write_observe_files.

observe_usage() {
  cat <<'TEXT'
usage: ./dev observe [--workers N] [--listen PORT] [--prometheus PORT] [--grafana PORT]
       ./dev observe --write | --render
Runs the server with the embedded model, Prometheus with deploy/prometheus, mixed traffic of N (2) concurrent requests, and
Grafana with deploy/grafana if it is installed. Prints the addresses and runs until Ctrl-C. --write generates the tables in
docs/metrics.md and the dashboards; --render draws the dashboards' panels from real traffic into docs/images.
TEXT
}

ensure_observe_venv() {
  python_package
  ensure_venv observe "$ROOT/tests/observe/requirements.lock"
}

# The tables of docs/metrics.md out of the server's registry, and the dashboards.
write_observe_files() {
  ensure_build release print_metric_table
  ensure_observe_venv
  local table page="$ROOT/docs/metrics.md"
  table=$("$BUILD/bin/print_metric_table")
  TABLE="$table" awk '
    /^<!-- end -->$/ { skipping = 0 }
    !skipping { print }
    /^<!-- written by/ { print ENVIRON["TABLE"]; skipping = 1 }' "$page" >"$page.new"
  mv "$page.new" "$page"
  "$PYTHON" "$ROOT/deploy/grafana/make_dashboards.py"
  say "wrote docs/metrics.md and deploy/grafana/*.json"
}

# test_observe BUILD MODEL: the real server and Prometheus, every query and alert.
test_observe() {
  ensure_observe_venv
  say "testing metrics, rules and dashboards"
  VARSERVE_BUILD="$1" VARSERVE_EMBEDDED_MODEL="$2" "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/observe"
}
