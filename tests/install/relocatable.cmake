# Fails when an exported CMake file below FILES names SOURCE or a library of the system by path.
file(GLOB EXPORTED "${FILES}/*.cmake")
if(NOT EXPORTED)
  message(FATAL_ERROR "no exported files in ${FILES}")
endif()
foreach(FILE ${EXPORTED})
  file(STRINGS ${FILE} LINES REGEX "(^|[\"; ])/(usr|lib|opt|home)/|${SOURCE}")
  foreach(LINE ${LINES})
    # The preamble of CMake's own making compares its location with the usual ones.
    if(NOT LINE MATCHES "_realOrig|_IMPORT_PREFIX|PACKAGE_PREFIX_DIR")
      message(SEND_ERROR "${FILE}: ${LINE}")
    endif()
  endforeach()
endforeach()
