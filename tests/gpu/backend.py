"""The cuda backend's kernels on the device, in bfloat16 and float16, against the torch backend on the CPU."""

from google_test import run_all
from step import settings

if __name__ == "__main__":
    run_all(settings(), "backend_test", "*CudaBackendTest*/gpu_*:*Kernels*")
