# One target a room, linked to exactly the rooms it may know: an include the wrong way does not link.
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Decided once a build folder: with another launcher every object would be compiled again.
if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(EXCITON_CCACHE ccache NO_CACHE)
  if(NOT EXCITON_CCACHE)
    set(EXCITON_CCACHE "")
  endif()
  set(CMAKE_CXX_COMPILER_LAUNCHER "${EXCITON_CCACHE}" CACHE STRING "Goes before the compiler")
endif()

find_package(OpenMP REQUIRED COMPONENTS CXX)

# Warnings and sanitizers, for our own targets only.
add_library(exciton_options INTERFACE)
target_compile_options(exciton_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                       -Wno-sign-conversion -Wno-missing-field-initializers -Werror -fopenmp-simd
                       $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed>)  # `omp simd` is a wish
if(EXCITON_SANITIZE)
  target_compile_options(exciton_options INTERFACE -fsanitize=${EXCITON_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all
                         # GCC warns without reason in instrumented code (its manual says so)
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(exciton_options INTERFACE -fsanitize=${EXCITON_SANITIZE})
endif()

# exciton_room(NAME SOURCES... [KNOWS room...] [PRIVATE lib...])
function(exciton_room NAME)
  cmake_parse_arguments(ROOM "" "" "SOURCES;KNOWS;PRIVATE" ${ARGN})
  add_library(exciton_${NAME} STATIC ${ROOM_SOURCES})
  add_library(exciton::${NAME} ALIAS exciton_${NAME})
  set_target_properties(exciton_${NAME} PROPERTIES EXPORT_NAME ${NAME})
  target_include_directories(exciton_${NAME} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/exciton>)
  target_compile_features(exciton_${NAME} PUBLIC cxx_std_20)
  foreach(OTHER ${ROOM_KNOWS})
    target_link_libraries(exciton_${NAME} PUBLIC exciton_${OTHER})
  endforeach()
  target_link_libraries(exciton_${NAME} PRIVATE $<BUILD_INTERFACE:exciton_options> ${ROOM_PRIVATE})
  set_property(GLOBAL APPEND PROPERTY EXCITON_ROOMS exciton_${NAME})
endfunction()
