# Sourced by ../dev: benchmarks, with peers that run in a Python environment of their own.

# run_bench NAME [ARGUMENT...]: tests/bench/NAME.py with what it needs.
run_bench() {
  local script="$ROOT/tests/bench/$1.py"
  shift
  ensure_build release varserve-server varserve
  ensure_embedded_model
  ensure_venv bench "$ROOT/tests/bench/requirements.lock"
  # torch's wheel links against CUDA libraries that are not needed here and take 3 GB.
  local environment
  environment=$(dirname "$(dirname "$PYTHON")")
  if [[ ! -f $environment/.stubbed ]]; then
    say "leaving CUDA out of torch"
    "$PYTHON" "$ROOT/tests/bench/stub_cuda_libraries.py" "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    touch "$environment/.stubbed"
  fi
  exec "$PYTHON" "$script" --build "$BUILD" --embedded "$MODEL" "$@"
}
