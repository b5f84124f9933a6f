# Sourced by ../dev: OpenAI's API over HTTP against a real server, with the real clients.
# Functions: test_http.
# Reads: ROOT. Sets: PYTHON.

# test_http BUILD MODEL: the openai package, equality with gRPC, difficult clients.
test_http() {
  python_package
  ensure_venv http "$ROOT/tests/http/requirements.lock"
  say "testing OpenAI's API"
  VARSERVE_BUILD="$1" VARSERVE_EMBEDDED_MODEL="$2" "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/http"
}
