# Sourced by ../dev: runs the tests of a build.
# Functions: test_preset.
# Sets: BUILD. The tests themselves read the environment that ./dev test exports.

# test_preset PRESET [CTEST ARGUMENT...]: builds everything and runs it.
test_preset() {
  ensure_build "$1"
  say "testing build/$1"
  ctest --test-dir "$BUILD" --output-on-failure --no-tests=error "${@:2}"
}
