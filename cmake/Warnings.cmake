# Warnings are errors in the project's own targets, which link varserve::warnings PRIVATE.
# Designated initializers may leave out fields that have defaults.
add_library(varserve_warnings INTERFACE)
add_library(varserve::warnings ALIAS varserve_warnings)
target_compile_options(varserve_warnings INTERFACE -Wall -Wextra -Wno-missing-field-initializers -Werror
  -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports an empty std::optional as uninitialized.
  target_compile_options(varserve_warnings INTERFACE -Wno-maybe-uninitialized)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(varserve_warnings INTERFACE -Wthread-safety)
endif()

# varserve_library(NAME SOURCES ... DEPS ...): defines a static library; includes are relative to the repository root.
# Both are properties of the build only: an installed library is used with its own headers and its user's warnings.
function(varserve_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(varserve_${name} STATIC ${ARG_SOURCES})
  add_library(varserve::${name} ALIAS varserve_${name})
  target_include_directories(varserve_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  target_link_libraries(varserve_${name} PUBLIC ${ARG_DEPS} PRIVATE $<BUILD_INTERFACE:varserve::warnings>)
endfunction()
