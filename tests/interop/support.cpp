#include "tests/interop/support.hpp"

#include <cstdlib>
#include <fstream>
#include <numeric>

#include "exciton/core/error.hpp"

namespace exciton::interop::testing {

std::filesystem::path made(const std::string& name) {
  return std::filesystem::path(EXCITON_TEST_FILES) / name;
}

std::optional<std::filesystem::path> real(const std::string& name) {
  const char* folder = std::getenv("EXCITON_INTEROP");
  if (!folder) return std::nullopt;
  return std::filesystem::path(folder) / name;
}

std::map<std::string, std::vector<float>> values_of(const WeightFile& file) {
  std::map<std::string, std::vector<float>> out;
  for (const StoredTensor& t : file.tensors) out[t.name];
  file.read(std::vector<bool>(file.tensors.size(), true),
            [&](std::size_t number, std::int64_t first, std::span<const float> values) {
              std::vector<float>& own = out.at(file.tensors[number].name);
              check(first == std::ssize(own), "test: pieces come out of order");
              own.insert(own.end(), values.begin(), values.end());
            });
  return out;
}

std::string refusal(const std::filesystem::path& path, const OpenOptions& options) {
  try {
    values_of(*open_weights(path, options));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::vector<float> counting(std::int64_t count, float start) {
  std::vector<float> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), start);
  return out;
}

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace exciton::interop::testing
