# exciton::exciton, the sum of the components, and the package of them: libraries, headers, and the
# files by which find_package(exciton COMPONENTS ...) and pkg-config give them back. Each component
# is exported by itself, so that who asks for one needs the dependencies of that one alone. Libraries
# of the system are exported by target name, never by path.
include(CMakePackageConfigHelpers)

get_property(EXCITON_COMPONENTS GLOBAL PROPERTY EXCITON_COMPONENTS)
list(TRANSFORM EXCITON_COMPONENTS PREPEND exciton_ OUTPUT_VARIABLE EXCITON_TARGETS)
add_library(exciton_all INTERFACE)
add_library(exciton::exciton ALIAS exciton_all)
set_target_properties(exciton_all PROPERTIES EXPORT_NAME exciton)
target_link_libraries(exciton_all INTERFACE ${EXCITON_TARGETS})

# What users need stands in exciton.hpp; what only the components themselves include is not
# installed: kernels and oneDNN's side (ops/convolution, ops/simd, ops/onednn), the models' own
# headers, JSON.
set(EXCITON_INTERNAL_HEADERS "/(onednn|convolution|simd|models)/|json\\.hpp$")
set(EXCITON_INCLUDES)
foreach(COMPONENT ${EXCITON_COMPONENTS})
  file(GLOB_RECURSE HEADERS CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
       ${PROJECT_SOURCE_DIR}/${COMPONENT}/*.hpp)
  list(FILTER HEADERS EXCLUDE REGEX "${EXCITON_INTERNAL_HEADERS}")
  list(TRANSFORM HEADERS REPLACE "(.+)" "#include \"exciton/\\1\"\n")
  list(JOIN HEADERS "" HEADERS)
  string(APPEND EXCITON_INCLUDES "\n// ${COMPONENT}/\n${HEADERS}")
endforeach()
configure_file(cmake/exciton.hpp.in ${EXCITON_INCLUDE_DIR}/exciton/exciton.hpp @ONLY)

if(NOT EXCITON_INSTALL)
  return()
endif()

set(EXCITON_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/exciton)
foreach(COMPONENT ${EXCITON_COMPONENTS})
  install(TARGETS exciton_${COMPONENT} EXPORT exciton-${COMPONENT}
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${COMPONENT}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/exciton
          FILES_MATCHING PATTERN "*.hpp"
          REGEX "/(onednn|convolution|simd|models)$" EXCLUDE REGEX "json\\.hpp$" EXCLUDE)
endforeach()
install(TARGETS exciton_all EXPORT exciton-exciton)
install(FILES ${EXCITON_INCLUDE_DIR}/exciton/exciton.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/exciton)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/exciton)

foreach(COMPONENT ${EXCITON_COMPONENTS} exciton)
  install(EXPORT exciton-${COMPONENT} FILE exciton-${COMPONENT}-targets.cmake NAMESPACE exciton::
          DESTINATION ${EXCITON_CMAKE_DIR})
  export(EXPORT exciton-${COMPONENT} NAMESPACE exciton::
         FILE ${PROJECT_BINARY_DIR}/exciton-${COMPONENT}-targets.cmake)
endforeach()
configure_package_config_file(cmake/exciton-config.cmake.in ${PROJECT_BINARY_DIR}/exciton-config.cmake
  INSTALL_DESTINATION ${EXCITON_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/exciton-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/exciton-config.cmake
              ${PROJECT_BINARY_DIR}/exciton-config-version.cmake
        DESTINATION ${EXCITON_CMAKE_DIR})

# For build systems other than CMake.
set(EXCITON_PC_REQUIRES "zlib, libpng, libjpeg, libcurl, libarchive, libcrypto, libwebp, libwebpdemux, libtiff-4")
if(EXCITON_OPENBLAS)
  string(APPEND EXCITON_PC_REQUIRES ", openblas")
endif()
set(EXCITON_PC_LIBS "-lgif -pthread ${OpenMP_CXX_FLAGS}")
if(EXCITON_ONEDNN)
  string(PREPEND EXCITON_PC_LIBS "-ldnnl ")
endif()
set(EXCITON_PC_OURS "")
foreach(COMPONENT ${EXCITON_COMPONENTS})
  string(PREPEND EXCITON_PC_OURS "-lexciton_${COMPONENT} ")
endforeach()
configure_file(cmake/exciton.pc.in ${PROJECT_BINARY_DIR}/exciton.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/exciton.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
