# Debian packages, by `cpack` in a build folder of preset `package`; scripts/package.sh does all of it.
#   exciton           the program, its recipes, manual pages and completions
#   libexciton0       the shared library
#   libexciton-dev    headers, static components, CMake and pkg-config files
#   python3-exciton   the Python package
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME exciton)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_HOMEPAGE_URL "https://exciton.example.org" CACHE STRING "Shown by package managers")
set(EXCITON_MAINTAINER "Exciton maintainers <maintainers@users.noreply.exciton.example.org>" CACHE STRING
    "Of the Debian packages")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${EXCITON_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL program library dev)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY "=")

set(ABOUT "Exciton trains Squeeze-and-Excitation networks on the CPU one already
owns: recipes, checkpoints that a stopped run resumes from to the same
bits, SE blocks that cost no extra pass over memory, and pages that show
what their gates do.")

# exciton_debian(COMPONENT PACKAGE SECTION DEPENDS SUMMARY REST)
function(exciton_debian COMPONENT PACKAGE SECTION DEPENDS SUMMARY REST)
  string(TOUPPER ${COMPONENT} UPPER)
  set(CPACK_DEBIAN_${UPPER}_PACKAGE_NAME ${PACKAGE} PARENT_SCOPE)
  set(CPACK_DEBIAN_${UPPER}_PACKAGE_SECTION ${SECTION} PARENT_SCOPE)
  set(CPACK_DEBIAN_${UPPER}_PACKAGE_DEPENDS "${DEPENDS}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${UPPER}_DESCRIPTION "${SUMMARY}\n${ABOUT}\n.\n${REST}" PARENT_SCOPE)
  # What policy wants beside the files: who may copy it, and what changed.
  set(DOC ${CMAKE_INSTALL_DATADIR}/doc/${PACKAGE})
  install(FILES ${PROJECT_BINARY_DIR}/debian/copyright DESTINATION ${DOC} COMPONENT ${COMPONENT} EXCLUDE_FROM_ALL)
  install(FILES ${PROJECT_BINARY_DIR}/debian/changelog.gz DESTINATION ${DOC} COMPONENT ${COMPONENT} EXCLUDE_FROM_ALL)
endfunction()

set(SAME "(= ${PROJECT_VERSION})")
exciton_debian(program exciton science "libexciton0 ${SAME}" "trains SE networks on CPUs" "This package has the program.")
exciton_debian(library libexciton0 libs "" "library for SE networks on CPUs"
               "This package has the shared library, for the program, its plugins and\nPython.")
exciton_debian(dev libexciton-dev libdevel
  "libexciton0 ${SAME}, libdnnl-dev, ocl-icd-opencl-dev, zlib1g-dev, libpng-dev, libjpeg-dev, libgif-dev, libwebp-dev, libtiff-dev, libcurl4-openssl-dev, libarchive-dev, libssl-dev"
  "library for SE networks on CPUs, to build with" "This package has headers, static libraries, and files for CMake and\npkg-config.")
if(TARGET _exciton)
  list(APPEND CPACK_COMPONENTS_ALL python)
  string(REGEX MATCH "^3\\.([0-9]+)$" MATCHED "${EXCITON_PYTHON_VERSION}")
  math(EXPR NEXT "${CMAKE_MATCH_1} + 1")
  exciton_debian(python python3-exciton python
    "libexciton0 ${SAME}, python3 (>= ${EXCITON_PYTHON_VERSION}), python3 (<< 3.${NEXT}~), python3-numpy"
    "Python package for SE networks on CPUs" "This package has the Python module, which shares memory with NumPy.")
endif()
file(WRITE ${PROJECT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/triggers)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "dataset-fashion-mnist")

# The date is that of the release in the changelog, so that the same sources make the same package.
file(STRINGS ${PROJECT_SOURCE_DIR}/CHANGELOG.md RELEASES REGEX "^## \\[[0-9.]+\\] - [0-9-]+$")
if(RELEASES)
  list(GET RELEASES 0 LAST)
  string(REGEX MATCH "[0-9]+-[0-9]+-[0-9]+$" DAY "${LAST}")
else()
  string(TIMESTAMP DAY "%Y-%m-%d" UTC)  # never released
endif()
execute_process(COMMAND date -u -R -d ${DAY} OUTPUT_VARIABLE DATE OUTPUT_STRIP_TRAILING_WHITESPACE)
file(WRITE ${PROJECT_BINARY_DIR}/debian/changelog "exciton (${PROJECT_VERSION}) unstable; urgency=medium

  * See https://keepachangelog.com: CHANGELOG.md of the sources.

 -- ${EXCITON_MAINTAINER}  ${DATE}
")
file(WRITE ${PROJECT_BINARY_DIR}/debian/copyright "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Exciton

Files: *
Copyright: 2026 Exciton maintainers
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
")
execute_process(COMMAND gzip -9nkf ${PROJECT_BINARY_DIR}/debian/changelog)
include(CPack)
