/// One function for each container; open_weights looks at the first bytes and calls the right one.
#pragma once
#include <filesystem>
#include <memory>
#include <string_view>

#include "exciton/interop/weight_file.hpp"
#include "exciton/interop/zip.hpp"

namespace exciton::interop {

std::unique_ptr<WeightFile> open_safetensors(const std::filesystem::path& path);
/// Whether a file that begins so is torch.save's stream before PyTorch 1.6: its first pickle is a
/// magic number of 80 bits.
bool is_torch_stream(std::string_view begin);
std::unique_ptr<WeightFile> open_torch_stream(const std::filesystem::path& path,
                                              const OpenOptions& options);
std::unique_ptr<WeightFile> open_torch_zip(std::unique_ptr<Zip> zip, const OpenOptions& options);
std::unique_ptr<WeightFile> open_npz(std::unique_ptr<Zip> zip);
std::unique_ptr<WeightFile> open_npy(const std::filesystem::path& path);

}  // namespace exciton::interop
