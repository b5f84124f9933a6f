# Sourced by ../dev: what a machine with a GPU needs to test and measure the server, in one file made here.
# Functions: gpu_usage, make_gpu_bundle, test_gpu_programs; the others are their parts.
# Reads: ROOT. Sets: BUILD, MODEL, PYTHON.

gpu_usage() {
  cat <<'TEXT'
usage: ./dev gpu --bundle DIR
Builds the server, the client, and the tests of backends, CPU kernels and components against LibTorch 2.11 and packs them into DIR/varserve-gpu.tar.xz, with
the shared libraries they need (except the C library), golden values, benchmarks and samples. On a machine with an NVIDIA GPU
and a Python that has this version of torch (no network, compiler or repository needed):

  python3 -m tarfile -e varserve-gpu.tar.xz varserve-gpu
  python3 varserve-gpu/tests/gpu/run.py --out RESULTS

runs the tests on the GPU, compares its results with the CPU's, compares its speed with transformers, and writes
RESULTS/gpu.json and gpu.md. This takes five minutes; run.py --help says how to shorten it, and how to try it without a GPU.
TEXT
}

# Sets BUILD.
ensure_gpu_build() {
  LIBTORCH_LOCK="$ROOT/scripts/libtorch-gpu.lock" ensure_build gpu-2.11 varserve-server varserve backend_test component_test cpu_kernels_test
}

# make_gpu_bundle DIR
make_gpu_bundle() {
  local out=$1 bundle
  ensure_gpu_build
  ensure_embedded_model
  mkdir -p "$out"
  bundle=$(mktemp --directory)
  say "making the bundle"
  bundle_programs "$bundle" varserve-server varserve backend_test component_test cpu_kernels_test
  bundle_the_rest "$bundle"
  git -C "$ROOT" describe --always --dirty >"$bundle/REVISION"
  tar --directory "$bundle" --owner 0 --group 0 --create --file - . | xz --threads 0 >"$out/varserve-gpu.tar.xz"
  rm -r "$bundle"
  say "$out/varserve-gpu.tar.xz: $(du --apparent-size --human-readable "$out/varserve-gpu.tar.xz" | cut -f1); ./dev gpu --help says how to run it"
}

# bundle_the_rest BUNDLE: tests, golden values, the Python package, and the embedded model's directory without its weights, of which
# only names and shapes are kept. Reads: MODEL.
bundle_the_rest() {
  local bundle=$1
  (cd "$ROOT" && cp --parents --recursive tests/gpu tests/bench tests/testing/*.py tests/golden/data tests/golden/models models/embedded/samples server/backend/cuda/kernels/*.py "$bundle")
  find "$bundle" -name __pycache__ -exec rm -r {} +
  bundle_python_package "$bundle/python"
  mkdir "$bundle/model"
  find "$MODEL" -maxdepth 1 -type f ! -name '*.safetensors' -exec cp -t "$bundle/model" {} +
  python3 "$ROOT/scripts/tensor_shapes.py" "$MODEL/model.safetensors" >"$bundle/model/tensors.json"
}

# bundle_python_package FOLDER: the package, with messages as Debian's protoc compiles them: any protobuf library of the other machine
# runs them.
bundle_python_package() {
  local proto site
  python_package
  site=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  mkdir "$1"
  cp --recursive "$PYTHONPATH/varserve" "$1"
  for proto in "$ROOT"/proto/varserve/v1/*.proto; do
    protoc --proto_path="$ROOT/proto" --python_out="$1" "$proto"
  done
  protoc --proto_path="$site" --python_out="$1" google/rpc/status.proto google/rpc/error_details.proto
}

# bundle_programs BUNDLE NAME...: stripped, in libexec, with their libraries in lib; those of the C library, of the compiler and of
# torch are the other machine's. bin/NAME runs a program with both.
bundle_programs() {
  local bundle=$1 name
  local theirs='^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\+\+|gomp|c10|torch_cpu|cudart|cupti))\.so'
  shift
  mkdir "$bundle/bin" "$bundle/lib" "$bundle/libexec"
  cat >"$bundle/bin/program" <<'SH'
#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
export LD_LIBRARY_PATH="$VARSERVE_TORCH_LIB:$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# What CUDA's libraries open by name.
for folder in "$VARSERVE_TORCH_LIB"/../../nvidia/*/lib; do
  LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$folder"
done
exec "$here/libexec/$(basename "$0")" "$@"
SH
  chmod +x "$bundle/bin/program"
  for name in "$@"; do
    cp "$BUILD/bin/$name" "$bundle/libexec"
    ln -s program "$bundle/bin/$name"
    ldd "$BUILD/bin/$name"
  done | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort --unique | while read -r library; do
    [[ $(basename "$library") =~ $theirs ]] || cp --dereference --no-clobber "$library" "$bundle/lib"
  done
  strip "$bundle"/libexec/* "$bundle"/lib/*
}

# test_gpu_programs BUILD MODEL: those that measure the server, on this machine and with small models, since what a GPU is lent for
# must not fail there.
test_gpu_programs() {
  local MODEL=$2 bundle program
  say "testing the programs for a machine with a GPU"
  bundle=$(mktemp --directory)
  bundle_the_rest "$bundle"
  ln -s "$1/bin" "$bundle/bin"
  for program in models.py 'speed.py seven_billion cuda none' 'speed.py seven_billion cuda int8' 'parity.py torch'; do
    # shellcheck disable=SC2086 # words
    PYTHONPATH="$bundle/python:$bundle/tests/bench:$bundle/tests/testing" "$PYTHON" "$bundle/tests/gpu/"$program \
      --device cpu --scale tiny --work "$bundle" --out "$bundle" >"$bundle/log" || die "$(cat "$bundle/log")"
  done
  rm -r "$bundle"
}
