# VARSERVE_SANITIZE=address,undefined | thread instruments everything built here.
if(VARSERVE_SANITIZE)
  add_compile_options(-fsanitize=${VARSERVE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VARSERVE_SANITIZE})
endif()

# libFuzzer finds its way by the edges that instrumented code counts; the targets themselves link its main().
if(VARSERVE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(VARSERVE_SANITIZE STREQUAL "thread")
  # absl's flags have fences, which ThreadSanitizer does not know; no thread changes a flag after the start.
  add_compile_options(-Wno-tsan)
  # Objects, not an archive: the linker passes over an archive that nothing has asked for yet.
  add_library(varserve_tsan_libraries OBJECT ${CMAKE_SOURCE_DIR}/cmake/tsan_libraries.cc)
  target_link_libraries(varserve_tsan_libraries PUBLIC absl::synchronization)
  link_libraries($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:varserve_tsan_libraries>)
endif()
