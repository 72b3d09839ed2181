/// Runs a fuzz target on every file of a folder: the regression corpus.
#include <cstdio>
#include <vector>

#include "tests/fuzz/fuzz.hpp"

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  if (count != 2 || !fs::is_directory(arguments[1])) {
    std::fprintf(stderr, "usage: replay FOLDER\n");
    return 2;
  }
  int files = 0;
  for (const auto& entry : fs::directory_iterator(arguments[1])) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    std::printf("%s\n", entry.path().filename().c_str());
    std::fflush(stdout);  // so that a crash tells its input
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++files;
  }
  return files > 0 ? 0 : 1;
}
