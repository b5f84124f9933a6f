# Sourced by ../dev: the Python package of client/python, built from this folder's state whenever it is needed.
# Functions: python_package, test_python.
# Reads: ROOT. Sets: PYTHON, to the environment that has what the package needs; exports PYTHONPATH.

# Builds the package into build/python, whose bin has varserve-eval, unless it is there as it would be built now.
python_package() {
  ensure_venv python "$ROOT/client/python/tests/requirements.lock"
  local site="$ROOT/build/python" sources
  sources=$(cd "$ROOT" && find client/python client/explain proto -type f ! -path '*/__pycache__/*' -print0 | sort --zero-terminated |
    xargs --null sha256sum | sha256sum)
  export PYTHONPATH="$site"
  [[ -f $site/sources ]] && [[ $(<"$site/sources") == "$sources" ]] && return
  rm -rf "$site"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
    --target "$site" "$ROOT/client/python"
  echo "$sources" >"$site/sources"
}

# test_python BUILD MODEL: its types, and the package with the real server.
test_python() {
  python_package
  say "checking the types of the Python package"
  (cd "$ROOT/client/python" && MYPYPATH="$PYTHONPATH" "$PYTHON" -m mypy --cache-dir "$ROOT/build/mypy")
  say "testing the Python package"
  VARSERVE_BUILD="$1" VARSERVE_EMBEDDED_MODEL="$2" "$PYTHON" -m pytest -q -p no:cacheprovider "$ROOT/client/python"
}
