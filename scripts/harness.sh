# Sourced by ../dev: evaluation harnesses and clients of others against a real server.
# Functions: test_harness.
# Reads: ROOT. Sets: PYTHON, and PYTHONPATH for its own tests.

# test_harness BUILD MODEL: lmms-eval against varserve-eval, LangChain's and LiteLLM's client. Their environment takes 3 GB. In
# a shell of its own: the environment must not find the Python package.
test_harness() (
  python_package
  export VARSERVE_EVAL_PYTHON=$PYTHON VARSERVE_EVAL_PATH=$PYTHONPATH
  unset PYTHONPATH
  ensure_torch_venv harness "$ROOT/tests/harness/requirements.lock"
  say "testing with lmms-eval, LangChain and LiteLLM"
  VARSERVE_BUILD="$1" VARSERVE_EMBEDDED_MODEL="$2" "$PYTHON" -W ignore -m unittest discover --start-directory "$ROOT/tests/harness"
)
