# Sourced by ../dev: runs the tests of a build.
# Functions: test_usage, test_preset, test_beyond_ctest; test_dev is its part.
# Reads: ROOT. Sets: BUILD, MODEL, PYTHON and VARSERVE_KERNEL_INTERPRETER, by what it calls.

test_usage() {
  cat <<'TEXT'
usage: ./dev test [--envoy | --harness] [CTEST ARGUMENT...]
Builds everything and runs all tests: of the release build, the GPU kernels, this script, the embedded model's recipe, the
demo, the converter, an installation and a program built against it, the Python package, the programs that measure a GPU, the
openai package over HTTP, metrics with alerts and dashboards, and what hostile callers can do. --envoy runs two servers behind a
real Envoy instead, --harness lmms-eval, LangChain and LiteLLM against a server (their Python environment takes 3 GB). With
arguments for ctest only its tests run.
./dev sanitize runs the tests under sanitizers.
TEXT
}

# test_preset PRESET [CTEST ARGUMENT...]: builds everything and runs it, under a sanitizer where the preset has one.
test_preset() {
  ensure_build "$1"
  ensure_embedded_model
  [[ $1 == *-core ]] || export_kernel_interpreter # what has no LibTorch has no backends
  say "testing build/$1"
  VARSERVE_EMBEDDED_MODEL="$MODEL" \
    ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS="suppressions=$ROOT/tests/tsan.supp" \
    LSAN_OPTIONS="suppressions=$ROOT/tests/lsan.supp" \
    ctest --test-dir "$BUILD" --parallel "$(nproc)" --output-on-failure --no-tests=error "${@:2}"
}

# test_beyond_ctest: the tests in Python and of whole programs, after test_preset.
test_beyond_ctest() {
  test_kernels
  test_dev
  test_embedded_recipe
  test_demo "$BUILD" "$MODEL"
  test_install "$BUILD" "$MODEL"
  test_convert "$BUILD"
  test_python "$BUILD" "$MODEL"
  test_gpu_programs "$BUILD" "$MODEL"
  test_http "$BUILD" "$MODEL"
  test_observe "$BUILD" "$MODEL"
  test_hostile hostile --short
}

# test_dev: parts of ../dev itself.
test_dev() {
  say "testing ./dev"
  python3 -m unittest discover --start-directory "$ROOT/tests/dev"
}
