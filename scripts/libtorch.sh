# Sourced by ../dev: LibTorch (headers and CPU libraries) out of the pinned torch wheel. Sets LIBTORCH.

LIBTORCH_LOCK="$ROOT/scripts/libtorch.lock"

ensure_libtorch() {
  local id
  id=$(sha256sum "$LIBTORCH_LOCK" | cut -c1-12)
  LIBTORCH="$CACHE/libtorch-$id"
  [[ -f $LIBTORCH/.complete ]] && return
  local staging="$LIBTORCH.staging" flavour requirement sha256 wheels=()
  while read -r flavour requirement sha256; do
    [[ $flavour == cpu ]] || continue
    fetch_wheel "$requirement" "$sha256"
    wheels+=("$WHEEL")
  done <"$LIBTORCH_LOCK"
  say "unpacking LibTorch into $LIBTORCH"
  rm -rf "$staging" "$LIBTORCH"
  mkdir -p "$staging"
  # libtorch_cpu of this wheel links against the CUDA runtime and CUPTI even where no GPU is used.
  python3 - "$staging" "${wheels[@]}" <<'PY'
import pathlib, sys, zipfile
out, wheels = pathlib.Path(sys.argv[1]), sys.argv[2:]
LIBRARIES = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
# An old protobuf and fmt 12 in the wheel's include folder would shadow the system's.
SHADOWING = ("torch/include/google/", "torch/include/fmt/")
for wheel in wheels:
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            if name.startswith("torch/include/") and not name.startswith(SHADOWING) and not name.endswith("/"):
                target = out / name.removeprefix("torch/")
            elif pathlib.PurePath(name).name in LIBRARIES:
                target = out / "lib" / pathlib.PurePath(name).name
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with z.open(name) as source, open(target, "wb") as sink:
                while chunk := source.read(1 << 22):
                    sink.write(chunk)
missing = LIBRARIES - {p.name for p in (out / "lib").iterdir()}
sys.exit(f"not in the wheels: {', '.join(sorted(missing))}" if missing else 0)
PY
  touch "$staging/.complete"
  mv "$staging" "$LIBTORCH"
}
