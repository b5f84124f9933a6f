# Sourced by ../dev: benchmarks, with peers that run in Python environments of their own.
# Functions: run_bench; the others are its parts.
# Reads: ROOT, CACHE. Sets: BUILD, MODEL and PYTHON, by what it calls; PEER.

# run_bench NAME [ARGUMENT...]: tests/bench/NAME.py with what it needs.
run_bench() {
  local name=$1 script="$ROOT/tests/bench/$1.py"
  shift
  ensure_build release varserve-server varserve
  ensure_embedded_model
  if [[ $name == peers ]] && [[ " $* " != *" --help "* && " $* " != *" -h "* ]]; then
    prepare_peers "$@"
    set -- "${PEERS[@]}" "$@"
  fi
  python_package
  ensure_torch_venv bench "$ROOT/tests/bench/requirements.lock"
  exec "$PYTHON" "$script" --build "$BUILD" --embedded "$MODEL" "$@"
}

# prepare_peers ARGUMENT...: installs the peers that the arguments do not leave out. Sets PEERS, the flags that say where they are,
# or why not.
prepare_peers() {
  local lock="$ROOT/tests/bench/peers"
  # The folder is named after what makes its content.
  PEERS=(--folder "$CACHE/peers/models-$(cat "$lock/peer_models.py" "$lock"/*.lock "$lock/../seven_billion.py" | sha256sum | cut -c1-12)")
  local argument listed="" without=" "
  for argument; do
    case $argument in
      --without) listed=yes ;;
      -*) listed="" ;;
      *) [[ -z $listed ]] || without+="$argument " ;;
    esac
  done
  add_peer openvino ensure_torch_venv openvino "$lock/openvino.lock"
  add_peer vllm ensure_torch_venv vllm "$lock/vllm.lock"
  add_peer llama.cpp ensure_llama_cpp "$lock/llama_cpp.lock"
}

# add_peer NAME COMMAND...: installs it unless it is one of those `without`, and adds its flag to PEERS.
add_peer() {
  PEER="left out"
  # shellcheck disable=SC2154
  [[ $without == *" $1 "* ]] || install_peer "$@"
  PEERS+=("--${1//./_}" "$PEER")
}

# install_peer NAME COMMAND...: in a shell of its own, so that a failure ends that and not the benchmark. Sets PEER to the path the
# command sets PYTHON to, or to the reason why there is none.
install_peer() {
  local name=$1 log="$CACHE/peers/$1.log" status
  shift
  mkdir -p "$CACHE/peers"
  set +e
  (
    set -e
    "$@" 2> >(tee "$log" >&2)
    echo "$PYTHON" >"$log.path"
  )
  status=$?
  set -e
  if [[ $status -eq 0 ]]; then PEER=$(<"$log.path"); else PEER="installing $name failed, see $log: $(tail -n 1 "$log" | cut -c1-160)"; fi
}

# ensure_llama_cpp LOCK: builds llama.cpp from the sources in the Python package of this name. Sets PYTHON to its folder.
ensure_llama_cpp() {
  local lock=$1 flags home
  flags=$(python3 "$ROOT/tests/bench/peers/llama_cpp_flags.py")
  home="$CACHE/peers/llama.cpp-$(cat "$lock" <(echo "$flags") | sha256sum | cut -c1-12)"
  PYTHON=$home
  [[ -f $home/.complete ]] && return
  say "building llama.cpp"
  rm -rf "$home"
  mkdir -p "$home/source" "$home/package"
  # Reading its metadata takes its build tools, which pip installs for a while; their hashes are not pinned.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-python --dest "$home/package" \
    "$(sed -n 's/^\([^# ]*\) .*/\1/p' "$lock")"
  echo "$(sed -n 's/.*--hash=sha256://p' "$lock")  $(echo "$home"/package/*.tar.gz)" | sha256sum --check --status
  tar --directory "$home/source" --extract --strip-components 1 --file "$home"/package/*.tar.gz
  # shellcheck disable=SC2086
  cmake -S "$home/source/vendor/llama.cpp" -B "$home/build" -G Ninja -DCMAKE_BUILD_TYPE=Release $flags \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF >"$home/cmake.log"
  ninja -C "$home/build" llama-bench llama-quantize >"$home/build.log"
  touch "$home/.complete"
}
