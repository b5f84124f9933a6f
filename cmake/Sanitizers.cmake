# VARSERVE_SANITIZE=address,undefined | thread instruments everything built here.
if(VARSERVE_SANITIZE)
  add_compile_options(-fsanitize=${VARSERVE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VARSERVE_SANITIZE})
endif()
