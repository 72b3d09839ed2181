#include "exciton/ops/convolution/choices.hpp"

#include <sstream>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/ops/convolution/onednn/convolution.hpp"
#include "exciton/ops/convolution/path.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"

namespace exciton::ops {
namespace {

KernelChoices& in_use() {
  static KernelChoices choices;
  return choices;
}

}  // namespace

std::string form_name(const ConvGeometry& g, Direction direction) {
  static constexpr const char* directions[] = {"forward", "data gradient", "weight gradient"};
  const ConvSpec& s = g.spec;
  std::ostringstream out;
  out << directions[static_cast<int>(direction)] << ' ' << g.dtype << ' ' << g.kh << 'x' << g.kw
      << ' ' << g.c << " to " << g.o << " on " << g.h << 'x' << g.w;
  if (s.row_padding() != s.padding)
    out << ", padding " << s.padding << 'x' << s.row_padding();
  else if (s.padding != 0)
    out << ", padding " << s.padding;
  if (s.stride != 1) out << ", stride " << s.stride;
  if (s.dilation != 1) out << ", dilation " << s.dilation;
  if (s.groups != 1) out << ", " << s.groups << " groups";
  if (s.winograd_products != WinogradProducts::f32) out << ", rounded products";
  if (s.winograd_products == WinogradProducts::bf16_4x4) out << " 4x4";
  return out.str();
}

const KernelChoices& kernel_choices() { return in_use(); }

std::string why_absent(ConvKernel kernel) {
  const ConvPath path = conv_path();
  switch (kernel) {
    case ConvKernel::winograd_bf16:
    case ConvKernel::winograd_bf16_4x4:
    case ConvKernel::winograd_bf16_strided:
      if (!simd::have_bf16_pairs()) return "this processor does not multiply pairs of bf16";
      [[fallthrough]];
    case ConvKernel::winograd:
    case ConvKernel::winograd_strided:
    case ConvKernel::pointwise:
      return path == ConvPath::direct || path == ConvPath::own ? "EXCITON_CONV leaves it out" : "";
    case ConvKernel::onednn:
      return path == ConvPath::own ? "EXCITON_CONV leaves it out" : onednn::doubts();
    case ConvKernel::direct:
      return "";
    case ConvKernel::none:
    case ConvKernel::plain:
      break;
  }
  return "it is for tests";
}

ScopedKernelChoices::ScopedKernelChoices(KernelChoices choices) {
  for (const auto& [form, kernel] : choices) {
    const std::string reason = why_absent(kernel);
    check(reason.empty(), "kernels: \"", form, "\" shall run on ", name_of(kernel),
          ", which is not here: ", reason,
          "; measure on this machine, or leave the choice to the program");
  }
  before_ = std::exchange(in_use(), std::move(choices));
}

ScopedKernelChoices::~ScopedKernelChoices() { in_use() = std::move(before_); }

}  // namespace exciton::ops
