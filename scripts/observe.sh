# Sourced by ../dev: Prometheus, Grafana and traffic around a real server, and what is written from code for them.
# Functions: ensure_observe_venv, write_observe_files, test_observe.
# Reads: ROOT. Sets: PYTHON; BUILD in write_observe_files.

ensure_observe_venv() { ensure_venv observe "$ROOT/tests/observe/requirements.lock"; }

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
