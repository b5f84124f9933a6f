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
