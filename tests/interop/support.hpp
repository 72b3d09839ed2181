/// What the tests of files of weights share.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "exciton/interop/weight_file.hpp"

namespace exciton::interop::testing {

/// tests/interop/files/NAME
std::filesystem::path made(const std::string& name);
/// EXCITON_INTEROP/NAME: real files and golden values, which are not part of the repository;
/// nothing where that is not set.
std::optional<std::filesystem::path> real(const std::string& name);

/// All values of a file by name.
std::map<std::string, std::vector<float>> values_of(const WeightFile& file);
/// The message of the error that opening it is, or reading it; "" where it is read.
std::string refusal(const std::filesystem::path& path, const OpenOptions& options = {});
/// 0, 1, 2, ...
std::vector<float> counting(std::int64_t count, float start = 0);
/// Writes bytes into a file.
void write_bytes(const std::filesystem::path& path, const std::string& bytes);

}  // namespace exciton::interop::testing
