# VARSERVE_SANITIZE=address,undefined or thread instruments everything that is built here.
if(VARSERVE_SANITIZE)
  add_compile_options(-fsanitize=${VARSERVE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VARSERVE_SANITIZE})
endif()

# Instrumented code counts edges, which guide libFuzzer. The fuzz targets link its main() themselves.
if(VARSERVE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(VARSERVE_SANITIZE STREQUAL "thread")
  # absl's flags use fences, which ThreadSanitizer does not support. No thread changes a flag after startup.
  add_compile_options(-Wno-tsan)
  # Objects, not an archive: the linker skips an archive that resolves no undefined symbol.
  add_library(varserve_tsan_libraries OBJECT ${CMAKE_SOURCE_DIR}/cmake/tsan_libraries.cc)
  target_link_libraries(varserve_tsan_libraries PUBLIC absl::synchronization)
  link_libraries($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:varserve_tsan_libraries>)
endif()
