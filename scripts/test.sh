# Sourced by ../dev: runs the tests of a build.

# test_preset PRESET [CTEST ARGUMENT...]: builds everything and runs it.
test_preset() {
  ensure_build "$1"
  say "testing build/$1"
  ctest --test-dir "$BUILD" --output-on-failure --no-tests=error "${@:2}"
}

# test_core PRESET: the folders with neither LibTorch nor gRPC.
test_core() {
  local tests=(kernels_test engine_test preprocess_test)
  ensure_build "$1" "${tests[@]}"
  say "testing build/$1"
  ctest --test-dir "$BUILD" --output-on-failure --no-tests=error --tests-regex "^($(IFS='|' && echo "${tests[*]}"))\$"
}
