# Writes plugin_abi.hpp: version, compiler and a hash of the installed headers, by which a plugin and
# the program that loads it know one another.
#   cmake -DOUTPUT=FILE -DSOURCE=DIR -DVERSION=... "-DHEADERS=a.hpp;b.hpp" -P PluginAbi.cmake
set(ALL "")
foreach(HEADER ${HEADERS})
  file(SHA256 ${SOURCE}/${HEADER} HASH)
  string(APPEND ALL "${HEADER} ${HASH}\n")
endforeach()
string(SHA256 HASH "${ALL}")
string(SUBSTRING ${HASH} 0 16 HASH)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [=[
/// Made when the library is built: plugins must have been built for the same.
#pragma once
#define EXCITON_PLUGIN_ABI "exciton @VERSION@ (" __VERSION__ ", headers @HASH@)"
]=])
