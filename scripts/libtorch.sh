# Sourced by ../dev: LibTorch (headers and libraries) out of the pinned torch wheel and the CUDA wheels it needs.
# Functions: ensure_libtorch, ensure_libtorch_cuda; the others are their parts.
# Reads: ROOT, CACHE; LIBTORCH_LOCK, which a caller may set for one call.
# Sets when sourced: LIBTORCH_LOCK, CPU_LIBRARIES, CUDA_LIBRARIES. Sets when it runs: LIBTORCH or LIBTORCH_CUDA; WHEEL, WHEELS.

LIBTORCH_LOCK="$ROOT/scripts/libtorch.lock"

# libtorch_cpu of this wheel links against the CUDA runtime and CUPTI even where no GPU is used.
CPU_LIBRARIES=(libtorch_cpu.so libc10.so libgomp.so.1 libcudart.so.13 libcupti.so.13)
# What libtorch_cuda links against, and what those open by themselves.
CUDA_LIBRARIES=(libtorch_cuda.so libc10_cuda.so libtorch_nvshmem.so libcaffe2_nvrtc.so 'libcublas*.so.*' 'libcudnn*.so.*' libcufft.so.12
  libcufile.so.0 libcusparse.so.12 libcusparseLt.so.0 libnccl.so.2 libnvJitLink.so.13 'libnvrtc*.so.*' libnvshmem_host.so.3)

# unpack_wheels OUT PATTERN... -- WHEEL...: what matches by its path or name; torch's headers to OUT/include, libraries to OUT/lib.
unpack_wheels() {
  local staging="$1.staging"
  say "unpacking into $1"
  rm -rf "$staging" "$1"
  mkdir -p "$staging"
  python3 "$ROOT/scripts/unpack_wheels.py" "$staging" "${@:2}"
  touch "$staging/.complete"
  mv "$staging" "$1"
}

# fetch_flavours FLAVOUR...: the wheels of these flavours. Sets WHEELS.
fetch_flavours() {
  local flavour requirement sha256
  WHEELS=()
  while read -r flavour requirement sha256; do
    [[ " $* " == *" $flavour "* ]] || continue
    fetch_wheel "$requirement" "$sha256"
    WHEELS+=("$WHEEL")
  done <"$LIBTORCH_LOCK"
}

# Sets LIBTORCH.
ensure_libtorch() {
  LIBTORCH="$CACHE/libtorch-$(sha256sum "$LIBTORCH_LOCK" | cut -c1-12)"
  [[ -f $LIBTORCH/.complete ]] && return
  fetch_flavours cpu
  unpack_wheels "$LIBTORCH" 'torch/include/*' "${CPU_LIBRARIES[@]}" -- "${WHEELS[@]}"
}

# The libraries for a GPU: opened at run time, nothing is linked against them. Sets LIBTORCH_CUDA.
ensure_libtorch_cuda() {
  LIBTORCH_CUDA="$CACHE/libtorch-cuda-$(sha256sum "$LIBTORCH_LOCK" | cut -c1-12)"
  [[ -f $LIBTORCH_CUDA/.complete ]] && return
  fetch_flavours cpu cuda
  unpack_wheels "$LIBTORCH_CUDA" "${CUDA_LIBRARIES[@]}" -- "${WHEELS[@]}"
}
