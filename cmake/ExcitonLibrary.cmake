# One target a component, linked to exactly the components it may know: an include the wrong way
# does not link. All of this is ours alone: a project that takes us in by add_subdirectory or
# FetchContent keeps its own build type, launcher, warnings and tests.
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
  # Decided once a build folder: with another launcher every object would be compiled again.
  if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    find_program(EXCITON_CCACHE ccache NO_CACHE)
    set(EXCITON_LAUNCHER "")
    # The setting by which it keeps what is compiled behind precompiled headers; these know their
    # headers by their bytes, so that a comment that changed makes another one.
    if(EXCITON_CCACHE)
      set(EXCITON_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_COMMENTS=1
          ${EXCITON_CCACHE})
    endif()
    set(CMAKE_CXX_COMPILER_LAUNCHER "${EXCITON_LAUNCHER}" CACHE STRING "Goes before the compiler")
  endif()
endif()

find_package(OpenMP REQUIRED COMPONENTS CXX)

# Headers are included as "exciton/core/..." in the build tree as in the installed package, so no
# header of a user's can take the place of one of ours.
set(EXCITON_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${EXCITON_INCLUDE_DIR}/exciton)

# What the loops of our headers want, in a user's code as here; for Clang `omp simd` is a wish, and one
# that it does not grant is no news.
set(EXCITON_LOOP_OPTIONS $<$<CXX_COMPILER_ID:GNU,Clang>:-fopenmp-simd>
    $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed>)

# Warnings and sanitizers, for our own targets only.
add_library(exciton_options INTERFACE)
target_compile_options(exciton_options INTERFACE ${EXCITON_LOOP_OPTIONS}
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)  # for ccache
if(EXCITON_WARNINGS)
  target_compile_options(exciton_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                         -Wno-sign-conversion -Wno-missing-field-initializers -Werror)
endif()
if(EXCITON_SANITIZE)
  target_compile_options(exciton_options INTERFACE -fsanitize=${EXCITON_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all
                         # GCC warns without reason in instrumented code (its manual says so)
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(exciton_options INTERFACE -fsanitize=${EXCITON_SANITIZE})
endif()

# GCC takes a string for a short array now and then, more often behind precompiled headers, where it
# forgets that the standard's headers are not ours.
set(EXCITON_FALSE_ALARMS $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow> $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)

# exciton_library(NAME SOURCES... [KNOWS component...] [PRIVATE lib...] [PRECOMPILED header...]), where
# PRECOMPILED are the headers that most of its files read.
function(exciton_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;KNOWS;PRIVATE;PRECOMPILED" ${ARGN})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${NAME} ${EXCITON_INCLUDE_DIR}/exciton/${NAME} SYMBOLIC)
  add_library(exciton_${NAME} ${ARG_SOURCES})  # static, unless BUILD_SHARED_LIBS says otherwise
  add_library(exciton::${NAME} ALIAS exciton_${NAME})
  set_target_properties(exciton_${NAME} PROPERTIES
    EXPORT_NAME ${NAME} UNITY_BUILD OFF  # names within a file are that file's own
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_include_directories(exciton_${NAME} PUBLIC
    $<BUILD_INTERFACE:${EXCITON_INCLUDE_DIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(exciton_${NAME} PUBLIC cxx_std_20)
  foreach(OTHER ${ARG_KNOWS})
    target_link_libraries(exciton_${NAME} PUBLIC exciton_${OTHER})
  endforeach()
  target_link_libraries(exciton_${NAME} PRIVATE ${ARG_PRIVATE})
  # Not linked with exciton_options: nothing of it is to be exported.
  target_compile_options(exciton_${NAME} PRIVATE
    $<TARGET_PROPERTY:exciton_options,INTERFACE_COMPILE_OPTIONS>)
  if(ARG_PRECOMPILED)
    target_precompile_headers(exciton_${NAME} PRIVATE ${ARG_PRECOMPILED})
    target_compile_options(exciton_${NAME} PRIVATE ${EXCITON_FALSE_ALARMS})
  endif()
  target_link_options(exciton_${NAME} PRIVATE
    $<TARGET_PROPERTY:exciton_options,INTERFACE_LINK_OPTIONS>)
  set_property(GLOBAL APPEND PROPERTY EXCITON_COMPONENTS ${NAME})
  list(JOIN ARG_KNOWS " " KNOWS)
  set_property(GLOBAL APPEND_STRING PROPERTY EXCITON_KNOWS "set(_exciton_${NAME}_knows ${KNOWS})\n")
endfunction()
