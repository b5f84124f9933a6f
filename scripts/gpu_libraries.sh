# Sourced by ../dev: CUDA's libraries for the server, where there is a GPU to use.
# Functions: use_gpu; the others are its parts.
# Reads: CACHE, LD_LIBRARY_PATH, VARSERVE_GPU; NVIDIA_DRIVER, which a test may set. Sets: LD_LIBRARY_PATH.

NVIDIA_DRIVER=/proc/driver/nvidia/version
OLDEST_DRIVER=580 # for the CUDA 13 that the pinned LibTorch is made for

# The driver's version, such as 580.65; empty without a driver.
driver_version() { [[ ! -r $NVIDIA_DRIVER ]] || sed -n 's/^NVRM version:.*  *\([0-9]\+\.[0-9]\+\)[0-9.]* .*/\1/p' "$NVIDIA_DRIVER"; }

# wants_gpu_libraries: whether to download them, asked once and kept in the cache; VARSERVE_GPU=yes or no answers it.
wants_gpu_libraries() {
  local answer=${VARSERVE_GPU:-} kept="$CACHE/use-gpu"
  [[ -n $answer || ! -f $kept ]] || answer=$(cat "$kept")
  if [[ -z $answer && -t 0 ]]; then
    read -r -p "This machine has an NVIDIA GPU. Download CUDA's libraries (3 GB) to use it? [Y/n] " answer
    [[ $answer == [nN]* ]] && answer=no || answer=yes
    mkdir -p "$CACHE"
    echo "$answer" >"$kept"
  fi
  if [[ -z $answer ]]; then
    say "using the CPU: to use this machine's GPU, set VARSERVE_GPU=yes; that downloads CUDA's libraries (3 GB)"
  fi
  [[ $answer == yes ]]
}

# use_gpu [FLAG...]: for a server with these flags. Nothing happens with --device cpu, or on a machine without an NVIDIA driver.
use_gpu() {
  local version
  [[ " $* " =~ \ --device(=|\ )cpu\  ]] && return
  version=$(driver_version)
  [[ -n $version ]] || return 0
  if ((${version%%.*} < OLDEST_DRIVER)); then
    say "using the CPU: the NVIDIA driver is $version, and CUDA 13 needs $OLDEST_DRIVER or later"
    return
  fi
  wants_gpu_libraries || return 0
  ensure_libtorch_cuda
  export LD_LIBRARY_PATH="$LIBTORCH_CUDA/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}
