# Sourced by ../dev: Debian packages, built, and tried on a bare system.
# Functions: cmd_package; the others are its parts.
# Reads: ROOT, CACHE. Sets: BUILD, MODEL, LIBTORCH, WHEELS, and an EXIT trap while the bare system exists.

package_usage() {
  cat <<'TEXT'
usage: ./dev package [--test]
Builds the Debian packages varserve-server, varserve (the client) and libvarserve-dev into build/release/packages.

--test also makes a bare Debian 12 in a folder with debootstrap, installs the packages there with their dependencies from
Debian, and tries what docs/install.md says: the server runs as its user with its configuration file and the embedded model,
the client asks it, a program is built against the library, systemd checks the unit, and everything is removed again. It needs
root, takes five minutes and downloads 300 MB; its output is written to docs/evidence/packages.log, too.
TEXT
}

# The licenses of what the server's package brings along, next to the libraries. Sets WHEELS.
ensure_libtorch_licenses() {
  ensure_libtorch
  [[ -d $LIBTORCH/licenses ]] && return
  fetch_flavours cpu
  rm -rf "$LIBTORCH/licenses.staging"
  python3 "$ROOT/scripts/wheel_licenses.py" "$LIBTORCH/licenses.staging" "${WHEELS[@]}"
  mv "$LIBTORCH/licenses.staging" "$LIBTORCH/licenses"
}

# Sets BUILD.
build_packages() {
  ensure_libtorch_licenses
  ensure_build release installation
  rm -rf "$BUILD/packages"
  say "packing"
  (cd "$BUILD" && cpack --config CPackConfig.cmake >packages.log 2>&1) || {
    tail -n 30 "$BUILD/packages.log" >&2
    die "cpack failed"
  }
  rm -rf "$BUILD/packages/_CPack_Packages"
  ls -l --human-readable "$BUILD"/packages/*.deb
}

# A bare system in the cache, made once, with Debian's updates.
ensure_bare_system() {
  [[ -d $CACHE/package/bookworm ]] && return
  say "making a bare Debian 12"
  mkdir -p "$CACHE/package"
  rm -rf --one-file-system "$CACHE/package/bookworm.staging"
  debootstrap --variant=minbase bookworm "$CACHE/package/bookworm.staging" >"$CACHE/package/debootstrap.log" ||
    die "debootstrap failed; its log is $CACHE/package/debootstrap.log"
  local sources="$CACHE/package/bookworm.staging/etc/apt/sources.list" mirror
  mirror=$(sed -n 's/^deb \([^ ]*\) .*/\1/p' "$sources")
  printf 'deb %s main\n' "$mirror bookworm" "$mirror bookworm-updates" "$mirror-security bookworm-security" >"$sources"
  echo "127.0.0.1 localhost" >"$CACHE/package/bookworm.staging/etc/hosts"
  mv "$CACHE/package/bookworm.staging" "$CACHE/package/bookworm"
}

# test_packages: tries the packages of build_packages.
test_packages() {
  [[ $EUID -eq 0 ]] || die "package: a bare system has to be made as root; try sudo ./dev package --test"
  ensure_packages "$ROOT/scripts/packages-package.txt"
  ensure_bare_system
  ensure_embedded_model
  say "trying the packages on a bare system"
  BARE=$(mktemp --directory --tmpdir="$CACHE/package")
  trap remove_bare_system EXIT
  cp --archive "$CACHE/package/bookworm/." "$BARE"
  cp --dereference /etc/resolv.conf "$BARE/etc/resolv.conf"
  mkdir "$BARE/try" "$BARE/try/model"
  cp "$BUILD"/packages/*.deb "$ROOT/tests/install/try_packages.sh" "$ROOT/scripts/install.sh" "$BARE/try"
  cp --recursive --dereference "$MODEL/." "$BARE/try/model"
  (cd "$ROOT" && cp --parents tests/install/* models/embedded/demo/castle.jpg "$BARE/try")
  local log="$ROOT/docs/evidence/packages.log"
  {
    echo "./dev package --test, $(date --utc --iso-8601), revision $(git -C "$ROOT" describe --always --dirty)"
    # What is installed comes from Debian's mirrors; what is tried runs without a network, and ends with its namespace.
    in_bare_system /try/try_packages.sh install
    in_bare_system_alone /try/try_packages.sh serve
    in_bare_system /try/try_packages.sh unit
    in_bare_system /try/try_packages.sh remove
    echo "everything above worked"
  } 2>&1 | tee "$log"
  remove_bare_system
}

# in_bare_system SCRIPT ARGUMENT: with what is the machine's own: its processes end with it, its mounts too.
in_bare_system() {
  unshare --mount --pid --fork --kill-child --mount-proc --root="$BARE" --wd=/try \
    env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 bash -euo pipefail "$@"
}

# The same without a network but the loopback interface, whose ports are then all free.
in_bare_system_alone() {
  local everything
  everything=$(declare -f in_bare_system)
  BARE="$BARE" unshare --net bash -euo pipefail -c "$everything"'; ip link set lo up; in_bare_system "$@"' alone "$@"
}

remove_bare_system() {
  trap - EXIT
  rm -rf --one-file-system "$BARE"
}

cmd_package() {
  if wants_help "$@"; then
    package_usage
    return
  fi
  [[ $# -eq 0 || $* == --test ]] || die "./dev package: unexpected argument \"$1\"; see ./dev package --help"
  build_packages
  [[ $# -eq 0 ]] || test_packages
}
