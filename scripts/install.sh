# Sourced by ../dev: an installation, as cmake makes it.
# Functions: test_install; ask_with_installed_library, for the packages.
# Reads: ROOT, BUILD. Sets: ADDRESS and what else start_server sets, in a shell of its own.

# test_install BUILD MODEL: installs everything into a folder and asks the installed server with the installed client, and with a
# program built against the installed library, by CMake and by pkg-config.
test_install() (
  local model=$2 prefix="$1/installed"
  say "testing an installation"
  rm -rf "$prefix"
  cmake --install "$1" --prefix "$prefix" >"$1/install.log" || die "cmake --install failed; its log is $1/install.log"
  # LibTorch is not loaded from where the build found it.
  grep --quiet "libtorch_cpu.so => $prefix/" <(ldd "$prefix/bin/varserve-server") || die "the installed server loads another LibTorch"
  # The unit and the flags name the prefix, which is below it.
  ! grep --recursive --files-with-matches --binary-files=without-match --fixed-strings "$ROOT" "$prefix" \
    --exclude varserve-server.service --exclude server.flags ||
    die "these installed files name the source folder"
  find "$prefix" -type f ! -path '*/lib/varserve/*' ! -path '*/licenses/*' -printf '%P\n' | LC_ALL=C sort |
    diff - "$ROOT/tests/install/files.txt" || die "other files are installed (<) than tests/install/files.txt lists (>)"
  # The program's flags are those of the unit: what is not read from the file is given here.
  # shellcheck disable=SC2034
  BUILD="$prefix"
  start_server --flagfile="$prefix/etc/varserve/server.flags" --model "$model" --listen 127.0.0.1:0 --http_listen "" --metrics_listen ""
  ask_with_installed_library "$prefix" "$1/install-test" "${ADDRESS:?}" "$ROOT"
  stop_server
)

# ask_with_installed_library PREFIX SCRATCH ADDRESS SOURCES: prints what each client was answered; fails where that is wrong.
ask_with_installed_library() {
  local prefix=$1 scratch=$2 address=$3 sources=$4 client answer
  local flags picture=$sources/models/embedded/demo/castle.jpg question="What is in the image?"
  rm -rf "$scratch"
  mkdir -p "$scratch"
  if ! { cmake -S "$sources/tests/install" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" && cmake --build "$scratch/cmake"; } \
    >"$scratch/cmake.log"; then
    cat "$scratch/cmake.log" >&2
    die "find_package(varserve) did not work"
  fi
  flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs varserve)
  # shellcheck disable=SC2086
  g++ -std=c++20 "$sources/tests/install/ask.cc" -o "$scratch/ask" $flags || die "pkg-config varserve did not work"
  for client in "$scratch/cmake/ask $address" "$scratch/ask $address" "$prefix/bin/varserve ask --address $address"; do
    # shellcheck disable=SC2086
    answer=$($client "$picture" "$question")
    echo "$client: $answer"
    [[ $answer == "A rocket, a bucket, a castle and a handbag." ]] || die "this answer is wrong"
  done
}
