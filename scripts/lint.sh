# Sourced by ../dev: everything that can be said about the code without running it.
# Functions: run_lint; the others are its parts.
# Reads: ROOT. Sets: BUILD, PYTHON, and the working directory.

# Sources of our own, one a line, by file name pattern.
sources() { git -C "$ROOT" ls-files -- "$@"; }

# Format, lint and annotations of Python, by ruff.toml.
lint_python() {
  ensure_venv lint "$ROOT/scripts/lint/requirements.lock"
  local ruff
  ruff=$(dirname "$PYTHON")/ruff
  say "ruff"
  "$ruff" format --no-cache --quiet --diff "$ROOT" || die "Python is not formatted; in the repository: $ruff format"
  "$ruff" check --no-cache --quiet --output-format concise "$ROOT"
}

# run_lint [--all]: ends the script where a check fails.
run_lint() {
  ensure_packages "$ROOT/scripts/packages.txt" "$ROOT/scripts/packages-test.txt"
  cd "$ROOT" || exit
  say "clang-format"
  sources '*.cc' '*.h' | xargs clang-format --dry-run --Werror
  lint_python
  say "include direction"
  python3 scripts/lint/include_direction.py
  say "sizes of files and functions"
  python3 scripts/lint/cpp_functions_test.py --quiet
  python3 scripts/lint/sizes.py
  say "one version"
  python3 scripts/lint/version.py
  say "what the image is built from"
  python3 scripts/lint/docker_context.py
  say "shellcheck"
  shellcheck --shell=bash --external-sources dev scripts/*.sh cmake/*.sh tests/deploy/cluster/*.sh .ci/run
  say "clang: warnings and thread-safety analysis as errors"
  ensure_build clang
  # The analyzer and the headers of gRPC and LibTorch take minutes a file, so they are for --all.
  local files=('server/base/*.cc' 'server/engine/*.cc') checks='-clang-analyzer-*'
  if [[ ${1:-} == --all ]]; then
    files=('server/*.cc' 'client/*.cc' 'tools/*.cc') checks=
  fi
  say "clang-tidy"
  sources "${files[@]}" | xargs --max-procs="$(nproc)" --max-args=2 clang-tidy --quiet -p "$BUILD" --checks="$checks" 2>/dev/null
}
