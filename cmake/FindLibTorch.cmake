# Finds LibTorch as ./dev unpacks it from the torch wheel (scripts/libtorch.sh): headers and CPU libraries. Defines the target
# LibTorch::cpu. This module exists because the wheel's own TorchConfig.cmake requires a CUDA toolkit. CUDA's libraries are
# loaded at run time (server/model/device.cc), so nothing here depends on them.
find_path(LIBTORCH_INCLUDE_DIR ATen/ATen.h HINTS "$ENV{LIBTORCH}/include" "${LIBTORCH}/include" NO_DEFAULT_PATH)
find_library(LIBTORCH_CPU_LIBRARY torch_cpu HINTS "$ENV{LIBTORCH}/lib" "${LIBTORCH}/lib" NO_DEFAULT_PATH)
find_library(LIBTORCH_C10_LIBRARY c10 HINTS "$ENV{LIBTORCH}/lib" "${LIBTORCH}/lib" NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REASON_FAILURE_MESSAGE "set LIBTORCH to the folder ./dev unpacked it to, or build with ./dev"
  REQUIRED_VARS LIBTORCH_CPU_LIBRARY LIBTORCH_C10_LIBRARY LIBTORCH_INCLUDE_DIR)

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  get_filename_component(libtorch_lib_dir "${LIBTORCH_CPU_LIBRARY}" DIRECTORY)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES
    IMPORTED_LOCATION "${LIBTORCH_C10_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LIBTORCH_INCLUDE_DIR}")
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES
    IMPORTED_LOCATION "${LIBTORCH_CPU_LIBRARY}"
    # at::parallel_for is a header that uses OpenMP. At run time the wheel's own libgomp is loaded.
    INTERFACE_LINK_LIBRARIES "LibTorch::c10;${libtorch_lib_dir}/libgomp.so.1"
    INTERFACE_COMPILE_OPTIONS "-fopenmp"
    # clang's OpenMP code needs clang's own runtime.
    INTERFACE_LINK_OPTIONS "-Wl,-rpath-link,${libtorch_lib_dir};$<$<CXX_COMPILER_ID:Clang>:-fopenmp>")
endif()
