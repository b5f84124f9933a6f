# Sourced by ../dev: configures and builds.
# Functions: ensure_build.
# Reads: ROOT; LIBTORCH_LOCK, through ensure_libtorch. Sets: BUILD; LIBTORCH unless the preset builds without it.

# ensure_build PRESET [TARGET...]: builds what is not built. Sets BUILD.
ensure_build() {
  local preset=$1 torch=""
  shift
  ensure_packages "$ROOT/scripts/packages.txt" "$ROOT/scripts/packages-test.txt"
  ensure_cargo
  if [[ $preset != *-core ]]; then
    ensure_libtorch
    torch=$LIBTORCH
  fi
  BUILD="$ROOT/build/$preset"
  if [[ ! -f $BUILD/build.ninja ]] ||
    { [[ -n $torch ]] && ! grep -q "LIBTORCH_INCLUDE_DIR:PATH=$torch" "$BUILD/CMakeCache.txt"; }; then
    say "configuring build/$preset"
    mkdir -p "$ROOT/build"
    rm -f "$BUILD/CMakeCache.txt"
    LIBTORCH="$torch" cmake -S "$ROOT" --preset "$preset" >"$BUILD.log" 2>&1 || {
      tail -n 30 "$BUILD.log" >&2
      die "cmake failed; the whole log is build/$preset.log"
    }
  fi
  if ninja -C "$BUILD" -n "$@" | grep -q 'no work to do'; then
    say "build/$preset is up to date"
  else
    say "building build/$preset"
    ninja -C "$BUILD" "$@" || die "the build failed"
  fi
}
