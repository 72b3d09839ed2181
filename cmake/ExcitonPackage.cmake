# exciton::exciton, the sum of the components, and the package of them: libraries, headers, and the
# files by which find_package(exciton COMPONENTS ...) and pkg-config give them back. Each component
# is exported by itself, so that who asks for one needs the dependencies of that one alone. Libraries
# of the system are exported by target name, never by path.
include(CMakePackageConfigHelpers)

get_property(EXCITON_COMPONENTS GLOBAL PROPERTY EXCITON_COMPONENTS)
get_property(EXCITON_KNOWS GLOBAL PROPERTY EXCITON_KNOWS)  # for exciton-config.cmake.in
list(TRANSFORM EXCITON_COMPONENTS PREPEND exciton_ OUTPUT_VARIABLE EXCITON_TARGETS)
add_library(exciton_all INTERFACE)
add_library(exciton::exciton ALIAS exciton_all)
set_target_properties(exciton_all PROPERTIES EXPORT_NAME exciton)
target_link_libraries(exciton_all INTERFACE ${EXCITON_TARGETS})

# The sum of them as one shared library, libexciton, for the program, its plugins and other languages:
# they share one registry, one memory pool and one tape. A plugin is linked with exciton::plugin, which
# has the headers and no library: its symbols are those of the program that loads it.
add_library(exciton_plugin INTERFACE)
add_library(exciton::plugin ALIAS exciton_plugin)
set_target_properties(exciton_plugin PROPERTIES EXPORT_NAME plugin)
target_include_directories(exciton_plugin INTERFACE
  $<BUILD_INTERFACE:${EXCITON_INCLUDE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(exciton_plugin INTERFACE cxx_std_20)
target_compile_options(exciton_plugin INTERFACE ${EXCITON_LOOP_OPTIONS})
if(BUILD_SHARED_LIBS)
  add_library(exciton_shared INTERFACE)
  target_link_libraries(exciton_shared INTERFACE ${EXCITON_TARGETS})
else()
  # All objects; of the archives behind them nothing is missing then, they name what else to link.
  list(TRANSFORM EXCITON_TARGETS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE OBJECTS)
  foreach(ISA baseline avx2 avx512)
    list(APPEND OBJECTS $<TARGET_OBJECTS:exciton_ops_${ISA}>)
  endforeach()
  add_library(exciton_shared SHARED EXCLUDE_FROM_ALL ${OBJECTS})
  target_link_libraries(exciton_shared PRIVATE ${EXCITON_TARGETS} INTERFACE exciton_plugin)
  target_link_options(exciton_shared PRIVATE LINKER:-Bsymbolic-functions
                      $<TARGET_PROPERTY:exciton_options,INTERFACE_LINK_OPTIONS>)
  # Those who are linked with it, the program and the Python module, are of the same release.
  set_target_properties(exciton_shared PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME exciton VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()

# exciton.hpp names what users need. What only the components themselves include is not installed:
# kernels and oneDNN's side, the models' own headers, JSON, and the files listed here.
# tests/install/api.cmake checks that docs/api.md and this agree.
set(EXCITON_INTERNAL core/system_call.hpp data/batch_queue.hpp data/codec.hpp data/exif.hpp
  data/file_dataset.hpp data/files.hpp data/folder_layout.hpp data/formats.hpp data/jpeg.hpp
  data/given_file.hpp data/label_list.hpp data/listing.hpp data/not_found.hpp data/pixel_ops.hpp data/rand_augment.hpp data/tar.hpp
  data/transfer.hpp interop/containers.hpp interop/elements.hpp interop/onnx/protobuf.hpp interop/torch.hpp
  interop/zip.hpp nn/detection/initial.hpp nn/random_stream.hpp ops/all_ops.hpp ops/channel_copy.hpp ops/convolution/choices.hpp ops/convolution/direct.hpp
  ops/convolution/geometry.hpp ops/convolution/kernels.hpp ops/convolution/norm_relu_conv.hpp
  ops/convolution/path.hpp ops/convolution/plain.hpp ops/convolution/pointwise.hpp
  ops/convolution/winograd.hpp ops/matrix_product.hpp
  optim/elements.hpp train/detection/run.hpp train/gradient_sums.hpp train/kernel_file.hpp train/resume.hpp
  train/task_run.hpp)
set(EXCITON_HEADERS)
foreach(COMPONENT ${EXCITON_COMPONENTS})
  file(GLOB_RECURSE HEADERS CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
       ${PROJECT_SOURCE_DIR}/${COMPONENT}/*.hpp)
  list(FILTER HEADERS EXCLUDE REGEX "/(onednn|simd|models)/|json\\.hpp$")
  list(APPEND EXCITON_HEADERS ${HEADERS})
endforeach()
list(REMOVE_ITEM EXCITON_HEADERS ${EXCITON_INTERNAL})
configure_file(cmake/exciton.hpp ${EXCITON_INCLUDE_DIR}/exciton/exciton.hpp COPYONLY)

# By which a plugin and the program that loads it know one another; made anew when a header changes.
set(EXCITON_ABI_HEADERS ${EXCITON_HEADERS})
list(TRANSFORM EXCITON_ABI_HEADERS PREPEND ${PROJECT_SOURCE_DIR}/)
add_custom_command(OUTPUT ${EXCITON_INCLUDE_DIR}/exciton/plugin_abi.hpp
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${EXCITON_INCLUDE_DIR}/exciton/plugin_abi.hpp
          -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION} "-DHEADERS=${EXCITON_HEADERS}"
          -P ${PROJECT_SOURCE_DIR}/cmake/PluginAbi.cmake
  DEPENDS ${EXCITON_ABI_HEADERS} ${PROJECT_SOURCE_DIR}/cmake/PluginAbi.cmake VERBATIM)
add_custom_target(exciton_plugin_abi DEPENDS ${EXCITON_INCLUDE_DIR}/exciton/plugin_abi.hpp)
add_dependencies(exciton_train exciton_plugin_abi)

if(NOT EXCITON_INSTALL)
  return()
endif()

set(EXCITON_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/exciton)
foreach(COMPONENT ${EXCITON_COMPONENTS})
  install(TARGETS exciton_${COMPONENT} EXPORT exciton-${COMPONENT}
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endforeach()
foreach(HEADER ${EXCITON_HEADERS})
  cmake_path(GET HEADER PARENT_PATH FOLDER)
  install(FILES ${PROJECT_SOURCE_DIR}/${HEADER}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/exciton/${FOLDER})
endforeach()
install(TARGETS exciton_all EXPORT exciton-exciton)
install(TARGETS exciton_plugin EXPORT exciton-plugin)
if(EXCITON_APPS AND NOT BUILD_SHARED_LIBS)
  install(TARGETS exciton_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
          NAMELINK_COMPONENT dev)
endif()
install(FILES ${EXCITON_INCLUDE_DIR}/exciton/exciton.hpp ${EXCITON_INCLUDE_DIR}/exciton/plugin_abi.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/exciton)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DATADIR}/exciton/examples)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/exciton)

foreach(COMPONENT ${EXCITON_COMPONENTS} plugin exciton)
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
file(RELATIVE_PATH EXCITON_PC_PREFIX /x/${CMAKE_INSTALL_LIBDIR}/pkgconfig /x)  # from the file
configure_file(cmake/exciton.pc.in ${PROJECT_BINARY_DIR}/exciton.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/exciton.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
