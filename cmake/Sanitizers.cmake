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
  add_library(varserve_tsan_absl_mutex STATIC ${CMAKE_SOURCE_DIR}/cmake/tsan_absl_mutex.cc)
  link_libraries(varserve_tsan_absl_mutex)
  add_link_options(
    LINKER:--wrap=_ZN4absl7debian35Mutex4LockEv
    LINKER:--wrap=_ZN4absl7debian35Mutex6UnlockEv
    LINKER:--wrap=_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE
    LINKER:--wrap=_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)
endif()
