# Sourced by ../dev: the long versions of the tests under load, hostile callers, and the fuzz targets.
# Functions: fuzz_usage, soak_usage, run_soak, run_fuzz, test_hostile; the others are parts.
# Reads: ROOT; BUILD and MODEL in test_hostile. Sets when sourced: FUZZ_TARGETS. Sets when it runs: BUILD, or PYTHON.

fuzz_usage() {
  cat <<'TEXT'
usage: ./dev fuzz [--seconds N]
Builds the fuzz targets with clang and runs each for N seconds (default 5), starting from the inputs in tests/fuzz/corpus. An
input that breaks a target ends the command and is kept as build/asan-core/crash-*.
TEXT
}

soak_usage() {
  cat <<'TEXT'
usage: ./dev soak [--overload SECONDS] [--lost CLIENTS] [--faults SECONDS] [--fuzz SECONDS]
       ./dev soak hostile [CASE...]
       ./dev soak mixed [--seconds SECONDS]
hostile: runs each attack of a single caller against a fresh server and measures its cost and the effect on another caller.
Takes half an hour; writes docs/evidence/hostile.md.
mixed: runs all attacks at once for ten minutes next to honest callers; writes docs/evidence/mixed.md.
Without a name, runs the long versions of the fault tests: twenty times the server's capacity for a minute, 1000 clients
killed during their answers, ten minutes of random calls while steps fail, every fuzz target for ten minutes. Takes an hour,
less with smaller numbers; writes docs/evidence/soak.md.
TEXT
}

FUZZ_TARGETS=(image_decoder chat_template request completion safetensors_header model_config)

# run_fuzz SECONDS: every target for so long, one a core, from its corpus. New inputs go to build/asan-core/corpus.
run_fuzz() {
  local seconds=$1 target job
  local -a jobs=()
  ensure_build asan-core "${FUZZ_TARGETS[@]/%/_fuzz}"
  for target in "${FUZZ_TARGETS[@]}"; do
    while (($(jobs -rp | wc -l) >= $(nproc))); do sleep 1; done
    say "fuzzing $target for $seconds s"
    fuzz_target "$target" "$seconds" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || die "a fuzz target failed"; done
}

fuzz_target() {
  local target=$1 seconds=$2
  mkdir -p "$BUILD/corpus/$target"
  if ! "$BUILD/bin/${target}_fuzz" -max_total_time="$seconds" -print_final_stats=1 -rss_limit_mb=4096 \
    -artifact_prefix="$BUILD/crash-$target-" "$BUILD/corpus/$target" "$ROOT/tests/fuzz/corpus/$target" >"$BUILD/$target.log" 2>&1; then
    tail -n 60 "$BUILD/$target.log" >&2
    die "the fuzz target $target failed; its input is build/asan-core/crash-$target-*"
  fi
}

# Inputs tried and coverage of the last run of a target, from libFuzzer's log.
fuzz_summary() {
  local target=$1 log=$BUILD/$1.log runs coverage
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  echo "fuzz $target: $2 s, $runs inputs, ${coverage/cov: /} edges covered, no failure"
}

# run_soak: writes docs/evidence/soak.md.
run_soak() {
  local overload=$1 lost=$2 faults=$3 fuzz=$4 summary target
  summary=$(mktemp)
  ensure_build release fault_test
  VARSERVE_OVERLOAD_SECONDS=$overload VARSERVE_LOST_CLIENTS=$lost VARSERVE_RANDOM_FAULTS_SECONDS=$faults \
    VARSERVE_SOAK_SUMMARY=$summary "$BUILD/bin/fault_test" || die "a test failed under load"
  run_fuzz "$fuzz"
  for target in "${FUZZ_TARGETS[@]}"; do fuzz_summary "$target" "$fuzz" >>"$summary"; done
  {
    echo "# Long tests under load"
    echo
    echo "The last run of \`./dev soak\`: $(date --utc +%F), $(nproc) cores of a$(sed -n 's/^model name.*: / /p' /proc/cpuinfo | head -n 1), commit $(git -C "$ROOT" rev-parse --short HEAD)."
    echo "Every line is a test that passed, with the tests' tiny model and one compute thread."
    echo
    sed 's/^/- /' "$summary"
  } >"$ROOT/docs/evidence/soak.md"
  rm -f "$summary"
  say "docs/evidence/soak.md is written"
}

# test_hostile SCRIPT [ARGUMENT...]: a script of tests/hostile against the server of BUILD with MODEL.
test_hostile() {
  ensure_observe_venv
  say "hostile callers: $*"
  "$PYTHON" "$ROOT/tests/hostile/$1.py" --build "$BUILD" --embedded "$MODEL" "${@:2}" || die "hostile callers could do more than they may"
}
