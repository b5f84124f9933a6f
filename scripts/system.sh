# Sourced by ../dev: what has to be on the machine.
# Functions: ensure_packages, ensure_cargo, ensure_npm, ensure_venv, ensure_torch_venv.
# Reads: ROOT, CACHE. Sets: PYTHON, in the last two.

# ensure_packages FILE...: installs the Debian packages they list, as root or with sudo; otherwise prints the line to type.
ensure_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || return 0 # not Debian: cmake says what is missing
  while read -r package; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done < <(cat "$@" | grep -v '^#' | tr ' ' '\n')
  [[ ${#missing[@]} -eq 0 ]] && return 0
  local install=(apt-get install --yes --no-install-recommends "${missing[@]}")
  if [[ $EUID -eq 0 ]]; then
    say "installing ${#missing[@]} Debian packages"
    apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive "${install[@]}" --quiet=2 >/dev/null
  elif command -v sudo >/dev/null && sudo --non-interactive true 2>/dev/null; then
    say "installing ${#missing[@]} Debian packages with sudo"
    sudo apt-get update --quiet=2 && sudo env DEBIAN_FRONTEND=noninteractive "${install[@]}" --quiet=2 >/dev/null
  else
    die "Debian packages are missing; type this line, then the same command again:
  sudo apt-get update && sudo ${install[*]}"
  fi
}

# A Rust compiler of the machine's own, else Debian's newer one.
ensure_cargo() { command -v cargo >/dev/null || ensure_packages <(echo "cargo-web rustc-web"); }

ensure_npm() { command -v npm >/dev/null || ensure_packages <(echo npm); }

# ensure_venv NAME LOCK [PIP ARGUMENT...]: a Python environment in the cache with exactly what LOCK pins. Sets PYTHON.
ensure_venv() {
  local name=$1 lock=$2 id
  shift 2
  id=$(cat "$lock" <(echo "$*") | sha256sum | cut -c1-12)
  PYTHON="$CACHE/python-$name-$id/bin/python"
  [[ -f $CACHE/python-$name-$id/.complete ]] && return
  say "making the Python environment \"$name\""
  rm -rf "$CACHE/python-$name-$id"
  python3 -m venv "$CACHE/python-$name-$id"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: --no-deps -r "$lock" "$@"
  touch "$CACHE/python-$name-$id/.complete"
}

# ensure_torch_venv NAME LOCK: the same with torch in it, for the CPU. Its wheel links against CUDA libraries that are not
# needed there and take 3 GB.
ensure_torch_venv() {
  ensure_venv "$@"
  local environment
  environment=$(dirname "$(dirname "$PYTHON")")
  [[ -f $environment/.stubbed ]] && return
  say "leaving CUDA out of torch"
  "$PYTHON" "$ROOT/scripts/stub_cuda_libraries.py" "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  touch "$environment/.stubbed"
}
