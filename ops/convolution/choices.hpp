/// Kernels that someone asked for, form by form, in the place of those that the table of
/// kernels.hpp takes: what `exciton tune` measured on this machine.
#pragma once
#include <map>
#include <string>

#include "exciton/ops/convolution/geometry.hpp"

namespace exciton::ops {

/// "forward bf16 3x3 64 to 128 on 32x32, padding 1, stride 2": a direction of a convolution,
/// whatever the number of images and what follows the sum. Parts that are as they mostly are
/// (stride 1, padding 0, dilation 1, one group, products of f32) are left out.
std::string form_name(const ConvGeometry& g, Direction direction);

/// By the names of forms. A kernel that cannot run so many images leaves its form to the table.
using KernelChoices = std::map<std::string, ConvKernel>;

/// Those in use, empty unless ScopedKernelChoices put some there: state of the process, like the
/// registries.
const KernelChoices& kernel_choices();

/// Puts some in use until it goes, then those of before. Not while other threads convolve.
/// Errors: a kernel that this build, this processor or EXCITON_CONV does not have.
class ScopedKernelChoices {
 public:
  explicit ScopedKernelChoices(KernelChoices choices);
  ~ScopedKernelChoices();
  ScopedKernelChoices(const ScopedKernelChoices&) = delete;
  ScopedKernelChoices& operator=(const ScopedKernelChoices&) = delete;

 private:
  KernelChoices before_;
};

/// What stands against a kernel here, for any form: "this processor does not multiply pairs of
/// bf16"; "" for one that there is.
std::string why_absent(ConvKernel kernel);

}  // namespace exciton::ops
