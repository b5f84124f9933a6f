# Sourced by ../dev: the GPU kernels, which are compiled ahead of time and tested without a GPU.
# Functions: kernels_usage, compile_kernels, test_kernels, export_kernel_interpreter.
# Reads: ROOT. Sets when sourced: KERNELS. Sets when it runs: PYTHON, VARSERVE_KERNEL_INTERPRETER.

KERNELS="$ROOT/server/backend/cuda/kernels"

kernels_usage() {
  cat <<'TEXT'
usage: ./dev kernels [--test]
Compiles the GPU kernels in server/backend/cuda/kernels with a pinned Triton, and writes the result next to them; commit it.
Needs no GPU. --test runs them in Triton's interpreter against slow references instead, as ./dev test does.
TEXT
}

# Writes compiled.tar.xz and manifest.json next to the kernels.
compile_kernels() {
  ensure_venv kernels "$ROOT/tests/kernels/requirements.lock"
  "$PYTHON" "$KERNELS/compile.py"
}

# Exports VARSERVE_KERNEL_INTERPRETER, the command that runs kernels for the cuda backend's tests.
export_kernel_interpreter() {
  ensure_venv kernels "$ROOT/tests/kernels/requirements.lock"
  export VARSERVE_KERNEL_INTERPRETER="exec env TRITON_INTERPRET=1 PYTHONPATH='$KERNELS' '$PYTHON' '$ROOT/tests/kernels/serve.py'"
}

# test_kernels: against slow references, in Triton's interpreter on the CPU.
test_kernels() {
  ensure_venv kernels "$ROOT/tests/kernels/requirements.lock"
  say "testing the GPU kernels in Triton's interpreter"
  TRITON_INTERPRET=1 PYTHONPATH="$KERNELS" "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/kernels"
}
