# Sourced by ../dev: everything that can be said about the code without running it.

# Sources of our own, one a line, by file name pattern.
sources() { git -C "$ROOT" ls-files -- "$@"; }

# A folder may include only what stands right of its colon; the link order in CMakeLists.txt says the same.
check_include_direction() {
  python3 - "$ROOT" <<'PY'
import pathlib, re, subprocess, sys
root = pathlib.Path(sys.argv[1])
ALLOWED = {
    "base": {"base"},
    "kernels": {"kernels"},
    "engine": {"engine", "base"},
    "image": {"image", "base"},
    "text": {"text", "base"},
    "attention": {"attention", "kernels"},
    "model": {"model", "attention", "kernels", "engine", "base"},
    "telemetry": {"telemetry", "engine", "base"},
    "calibrate": {"calibrate", "model", "attention", "kernels", "engine", "chat", "text", "image", "base"},
    "chat": {"chat", "engine", "telemetry", "text", "image", "base"},
    "grpc": {"grpc", "chat", "engine", "telemetry", "base"},
}
TORCH = {"attention", "model", "calibrate"}
bad = []
for name in subprocess.run(["git", "-C", root, "ls-files", "server", "client"], capture_output=True, text=True).stdout.split():
    if not name.endswith((".h", ".cc")):
        continue
    parts = name.split("/")
    folder = parts[1] if parts[0] == "server" and len(parts) > 2 else None
    for number, line in enumerate((root / name).read_text().splitlines(), 1):
        if (m := re.match(r'#include "server/(\w+)/', line)) and (
            parts[0] == "client" or (folder and m[1] not in ALLOWED[folder])
        ):
            bad.append(f"{name}:{number}: {folder or 'client'} may not include server/{m[1]}")
        if re.match(r"#include <(ATen|c10|torch)/", line) and folder and folder not in TORCH:
            bad.append(f"{name}:{number}: only attention, model and calibrate may include LibTorch")
        if re.match(r'#include (<grpc|"grpc/|".*[.]grpc[.]pb[.]h")', line) and folder and folder != "grpc":
            bad.append(f"{name}:{number}: only grpc may include gRPC")
print("\n".join(bad))
sys.exit(bool(bad))
PY
}

run_lint() {
  ensure_packages "$ROOT/scripts/packages.txt" "$ROOT/scripts/packages-test.txt"
  cd "$ROOT" || exit
  say "clang-format"
  sources '*.cc' '*.h' | xargs clang-format --dry-run --Werror
  say "include direction"
  check_include_direction
  say "shellcheck"
  shellcheck --shell=bash --external-sources dev scripts/*.sh tests/deploy/cluster/*.sh .ci/run
  say "clang: warnings and thread-safety analysis as errors"
  ensure_build clang
  # The analyzer and the headers of gRPC and LibTorch take minutes a file, so they are for --all.
  local files=('server/base/*.cc' 'server/engine/*.cc') checks='-clang-analyzer-*'
  if [[ ${1:-} == --all ]]; then
    files=('server/*.cc' 'client/*.cc') checks=
  fi
  say "clang-tidy"
  sources "${files[@]}" | xargs --max-procs="$(nproc)" --max-args=2 clang-tidy --quiet -p "$BUILD" --checks="$checks" 2>/dev/null
}
