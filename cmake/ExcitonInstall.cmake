# `cmake --install` lays out one package: static rooms, their headers, the program (apps/), and the
# files by which find_package(exciton) gives exciton::core ... exciton::data and exciton::exciton,
# the sum of them. Libraries of the system are exported by target name, never by path.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

get_property(EXCITON_ROOM_TARGETS GLOBAL PROPERTY EXCITON_ROOMS)
set(EXCITON_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/exciton)

add_library(exciton_all INTERFACE)
add_library(exciton::exciton ALIAS exciton_all)
set_target_properties(exciton_all PROPERTIES EXPORT_NAME exciton)
target_link_libraries(exciton_all INTERFACE ${EXCITON_ROOM_TARGETS})

install(TARGETS ${EXCITON_ROOM_TARGETS} exciton_all EXPORT exciton
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT exciton FILE exciton-targets.cmake NAMESPACE exciton::
        DESTINATION ${EXCITON_CMAKE_DIR})

# Headers keep their place in the tree, below include/exciton. What only the rooms themselves
# include stays at home: ops/onednn (dnnl.hpp) and ops/convolution above it, ops/simd (compiled
# once an instruction set).
# exciton.hpp names all the others, so a new operator is in it without being entered anywhere.
set(EXCITON_INCLUDES)
foreach(TARGET ${EXCITON_ROOM_TARGETS})
  get_target_property(ROOM ${TARGET} EXPORT_NAME)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${ROOM}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/exciton
          FILES_MATCHING PATTERN "*.hpp"
          PATTERN "onednn" EXCLUDE PATTERN "convolution" EXCLUDE PATTERN "simd" EXCLUDE PATTERN "models" EXCLUDE)
  file(GLOB HEADERS CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
       ${PROJECT_SOURCE_DIR}/${ROOM}/*.hpp ${PROJECT_SOURCE_DIR}/${ROOM}/se/*.hpp)
  list(TRANSFORM HEADERS REPLACE "(.+)" "#include \"\\1\"\n")
  list(JOIN HEADERS "" HEADERS)
  string(APPEND EXCITON_INCLUDES "\n// ${ROOM}/\n${HEADERS}")
endforeach()
configure_file(cmake/exciton.hpp.in exciton.hpp @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/exciton.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/exciton)

configure_package_config_file(cmake/exciton-config.cmake.in exciton-config.cmake
  INSTALL_DESTINATION ${EXCITON_CMAKE_DIR})
write_basic_package_version_file(exciton-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/exciton-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/exciton-config-version.cmake
        DESTINATION ${EXCITON_CMAKE_DIR})
