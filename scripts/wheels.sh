# Sourced by ../dev: downloads pinned wheels from the Python package index that pip is configured for.
# A download that broke off resumes where it stopped; a finished one is checked against its hash and never fetched again.
# Functions: fetch_wheel; wheel_url is its part.
# Reads: VARSERVE_CACHE, XDG_CACHE_HOME, HOME. Sets when sourced: CACHE, the folder for all that is downloaded or built
# outside the repository. Sets when it runs: WHEEL.

CACHE="${VARSERVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/varserve}"

# wheel_url REQUIREMENT -> the address pip would download it from
wheel_url() {
  local report
  report=$(python3 -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --no-deps \
    --only-binary=:all: --python-version 3.11 --implementation cp --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_18_x86_64 \
    --platform manylinux2014_x86_64 --platform manylinux2010_x86_64 \
    --target "$CACHE/none" --report - "$1") ||
    die "no wheel of $1 found; is the Python package index reachable (pip config list)?"
  python3 -c 'import json, sys; print(json.load(sys.stdin)["install"][0]["download_info"]["url"])' <<<"$report"
}

# fetch_wheel REQUIREMENT SHA256 -> sets WHEEL to the path of the checked file
fetch_wheel() {
  local requirement=$1 sha256=$2
  WHEEL="$CACHE/wheels/${requirement/==/-}.whl"
  [[ -f $WHEEL ]] && return
  mkdir -p "$CACHE/wheels"
  local url
  url=$(wheel_url "$requirement")
  say "downloading $requirement"
  curl --fail --location --retry 5 --retry-delay 2 --continue-at - --progress-bar --output "$WHEEL.part" "$url" ||
    die "download of $requirement broke off; run the same command again to go on where it stopped"
  if ! echo "$sha256  $WHEEL.part" | sha256sum --check --status; then
    rm -f "$WHEEL.part"
    die "$requirement: the hash of the downloaded file is not the pinned $sha256; deleted the file"
  fi
  mv "$WHEEL.part" "$WHEEL"
}
