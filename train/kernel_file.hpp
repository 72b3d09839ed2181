/// What `exciton tune` writes and `--kernels` reads: which kernel runs which convolution.
///
///   {"processor": "AMD EPYC ...",
///    "kernels": {"forward f32 3x3 64 to 64 on 56x56, padding 1": "winograd-f4x3", ...}}
///
/// Other keys tell people how it came about and are not read.
#pragma once
#include <filesystem>

#include "exciton/ops/convolution/choices.hpp"
#include "exciton/train/json.hpp"

namespace exciton::train {

/// {form: kernel}, for files and checkpoints.
Json to_json(const ops::KernelChoices& choices);
/// The other way. Errors: "WHO: ..." with what is no form or no kernel.
ops::KernelChoices kernel_choices_from(const Json& json, const std::string& who);

struct KernelFile {
  std::string processor;  ///< that it was measured on
  ops::KernelChoices kernels;
};
/// Errors: unreadable, or not as above, with the path.
KernelFile read_kernel_file(const std::filesystem::path& path);

}  // namespace exciton::train
