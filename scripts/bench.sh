# Sourced by ../dev: benchmarks, with peers that run in a Python environment of their own.
# Functions: run_bench.
# Reads: ROOT. Sets: BUILD, MODEL and PYTHON, by what it calls.

# run_bench NAME [ARGUMENT...]: tests/bench/NAME.py with what it needs.
run_bench() {
  local script="$ROOT/tests/bench/$1.py"
  shift
  ensure_build release varserve-server varserve
  ensure_embedded_model
  ensure_torch_venv bench "$ROOT/tests/bench/requirements.lock"
  exec "$PYTHON" "$script" --build "$BUILD" --embedded "$MODEL" "$@"
}
