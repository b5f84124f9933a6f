# Sourced by ../dev: the converter of directories in the layout of their own code.
# Functions: cmd_convert, test_convert.
# Reads: ROOT. Sets: PYTHON.

cmd_convert() {
  if [[ $# -ne 2 && $# -ne 4 ]]; then
    echo "usage: ./dev convert [--vision_tower DIR] SOURCE TARGET
Converts a directory of InternVL2, InternVL2.5 (model_type internvl_chat), VILA 1.0 or VILA1.5 (llava_llama) as it is on
the hub to the layout that the server loads: writes TARGET, which must not exist. Runs no code of SOURCE.
--vision_tower: of VILA 1.0, the directory of the CLIP model that its config.json names (mm_vision_tower)."
    wants_help "$@" && return
    exit 2
  fi
  ensure_venv convert "$ROOT/tools/convert/requirements.lock"
  "$PYTHON" "$ROOT/tools/convert" "$@"
}

# test_convert BUILD: tiny directories converted, loaded by transformers and by the server.
test_convert() {
  ensure_venv convert "$ROOT/tools/convert/requirements.lock"
  say "testing the converter"
  "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/convert"
  local converted
  converted=$(mktemp --directory)
  "$PYTHON" "$ROOT/tests/convert/make_directories.py" "$converted"
  ensure_torch_venv training "$ROOT/models/embedded/requirements-training.lock"
  VARSERVE_BUILD="$1" VARSERVE_CONVERTED="$converted" "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/convert/answers"
  rm -rf "$converted"
}
