# Writes a C++ file that holds other files, so that a program carries them with it.
#   cmake -DOUTPUT=assets.cpp "-DFILES=a.css;b.js" -P EmbedFiles.cmake
# The functions it defines are declared in apps/page/assets.hpp.
set(BODY "")
set(CASES "")
set(INDEX 0)
foreach(PATH ${FILES})
  get_filename_component(NAME ${PATH} NAME)
  file(READ ${PATH} HEX HEX)
  string(REGEX REPLACE "(..)" "0x\\1," BYTES "${HEX}")
  string(APPEND BODY "constexpr unsigned char file${INDEX}[] = {${BYTES}0};\n")
  string(APPEND CASES "  if (name == \"${NAME}\")\n    return {reinterpret_cast<const char*>(file${INDEX}), sizeof(file${INDEX}) - 1};\n")
  math(EXPR INDEX "${INDEX} + 1")
endforeach()
file(WRITE ${OUTPUT} "// Made by cmake/EmbedFiles.cmake.
#include \"apps/page/assets.hpp\"

#include \"exciton/core/error.hpp\"

namespace exciton::apps {
namespace {
${BODY}}  // namespace

std::string_view asset(std::string_view name) {
${CASES}  fail(\"page: no file \", name, \" in this build\");
}

}  // namespace exciton::apps
")
