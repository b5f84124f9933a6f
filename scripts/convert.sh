# Sourced by ../dev: the converter of InternVL2 directories.
# Functions: cmd_convert, test_convert.
# Reads: ROOT. Sets: PYTHON.

cmd_convert() {
  if [[ $# -ne 2 ]]; then
    echo "usage: ./dev convert SOURCE TARGET
Converts an InternVL2 or InternVL2.5 directory as it is on the hub (model_type internvl_chat) to the layout that the server
loads: writes TARGET, which must not exist. Runs no code of SOURCE."
    wants_help "$@" && return
    exit 2
  fi
  ensure_venv convert "$ROOT/tools/convert/requirements.lock"
  "$PYTHON" "$ROOT/tools/convert" "$@"
}

# test_convert BUILD: tiny directories converted, loaded by transformers and by the server.
test_convert() {
  ensure_venv convert "$ROOT/tools/convert/requirements.lock"
  say "testing the converter of InternVL2"
  "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/convert"
  local converted
  converted=$(mktemp --directory)
  "$PYTHON" "$ROOT/tests/convert/make_directories.py" "$converted"
  ensure_torch_venv training "$ROOT/models/embedded/requirements-training.lock"
  VARSERVE_BUILD="$1" VARSERVE_CONVERTED="$converted" "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/convert/answers"
  rm -rf "$converted"
}
