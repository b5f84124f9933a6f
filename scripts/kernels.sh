# Sourced by ../dev: the GPU kernels, which are compiled ahead of time and tested without a GPU.
# Functions: compile_kernels, test_kernels, kernel_interpreter.
# Reads: ROOT. Sets: PYTHON; INTERPRETER in kernel_interpreter.

KERNELS="$ROOT/server/backend/cuda/kernels"

# Writes compiled.tar.xz and manifest.json next to the kernels.
compile_kernels() {
  ensure_venv kernels "$ROOT/tests/kernels/requirements.lock"
  "$PYTHON" "$KERNELS/compile.py"
}

# Sets INTERPRETER to the command that runs kernels for the cuda backend's tests.
kernel_interpreter() {
  ensure_venv kernels "$ROOT/tests/kernels/requirements.lock"
  # shellcheck disable=SC2034
  INTERPRETER="exec env TRITON_INTERPRET=1 PYTHONPATH='$KERNELS' '$PYTHON' '$ROOT/tests/kernels/serve.py'"
}

# test_kernels: against slow references, in Triton's interpreter on the CPU.
test_kernels() {
  kernel_interpreter
  say "testing the GPU kernels in Triton's interpreter"
  TRITON_INTERPRET=1 PYTHONPATH="$KERNELS" "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/kernels"
}
