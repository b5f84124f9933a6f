# Debian packages of the three components, by CPack: `./dev package` builds them and tries them on a bare system.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME varserve)
set(CPACK_PACKAGE_VENDOR VARServe)
set(CPACK_PACKAGE_CONTACT "VARServe developers <varserve@localhost>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_VERBATIM_VARIABLES ON)
# Paths in the packages are those of the installed system, also while the install rules run.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server client development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_THREADS 0)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)  # LibTorch takes minutes with xz
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${libtorch_libraries})

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME varserve-server)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_COMPONENT_SERVER_DESCRIPTION "Inference server for large multimodal models
Answers questions about pictures over gRPC and OpenAI's HTTP API, with Visual Attention Redistribution per request.
The package contains varserve-calibrate, a systemd unit, and the CPU libraries of LibTorch.")
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS varserve)
foreach(script postinst prerm postrm conffiles)
  list(APPEND CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/debian/${script})
endforeach()

set(CPACK_DEBIAN_CLIENT_PACKAGE_NAME varserve)
set(CPACK_DEBIAN_CLIENT_PACKAGE_SECTION net)
set(CPACK_COMPONENT_CLIENT_DESCRIPTION "Command line client of VARServe
Asks a VARServe server about pictures, and shows what Visual Attention Redistribution did to an answer.")
set(CPACK_DEBIAN_CLIENT_PACKAGE_DEPENDS ca-certificates)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libvarserve-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Client library of VARServe, development files
C++ headers, a static library for CMake and pkg-config, and the .proto files of the API.")
# gRPC's CMake files want its compiler plugins.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libgrpc++-dev, protobuf-compiler-grpc, libprotobuf-dev, protobuf-compiler, libabsl-dev, libssl-dev")

# Licenses: Debian looks for them in a file called copyright.
install(FILES debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/varserve-server COMPONENT server)
install(DIRECTORY ${libtorch_libraries}/../licenses/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/varserve-server/licenses
  COMPONENT server OPTIONAL)
install(FILES debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/varserve COMPONENT client)
install(FILES debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libvarserve-dev COMPONENT development)

include(CPack)
