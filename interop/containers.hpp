/// One function for each container; open_weights looks at the first bytes and calls the right one.
#pragma once
#include <filesystem>
#include <memory>

#include "exciton/interop/weight_file.hpp"
#include "exciton/interop/zip.hpp"

namespace exciton::interop {

std::unique_ptr<WeightFile> open_safetensors(const std::filesystem::path& path);
std::unique_ptr<WeightFile> open_torch_stream(const std::filesystem::path& path,
                                              const OpenOptions& options);
std::unique_ptr<WeightFile> open_torch_zip(std::unique_ptr<Zip> zip, const OpenOptions& options);
std::unique_ptr<WeightFile> open_npz(std::unique_ptr<Zip> zip);
std::unique_ptr<WeightFile> open_npy(const std::filesystem::path& path);

}  // namespace exciton::interop
