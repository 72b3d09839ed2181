// In place of convolution.cpp where the program is built without oneDNN (EXCITON_ONEDNN=OFF): it
// takes nothing, so that the own direct convolution runs all (ops/convolution/kernels.cpp).
#include "exciton/ops/convolution/onednn/convolution.hpp"

namespace exciton::ops::onednn {
namespace {

[[noreturn]] void absent() {
  fail("conv2d: this program was built without oneDNN (EXCITON_ONEDNN=OFF)");
}

}  // namespace

class Job {};
struct Primitives::State {};

Primitives::Primitives() = default;
Primitives::~Primitives() = default;
Job& Primitives::job_of(Direction, const ConvGeometry&, std::int64_t, int, Block) { absent(); }
void Primitives::evict() {}
std::size_t Primitives::jobs() const { return 0; }
std::string Primitives::why_not(Direction, const ConvGeometry&, std::int64_t, int, Block) {
  return "the program was built without it";
}
const Job& Primitives::prepare(Direction, const ConvGeometry&, std::int64_t, int, const Tensor&,
                               std::uint64_t, Block) {
  absent();
}
void Primitives::run(const Job&, int, const void*, const void*, void*, const EpilogueInputs&) {
  absent();
}
void Primitives::drop_scratchpads() {}
void Primitives::drop_weights() {}
std::int64_t Primitives::weight_elements(const Job&) { absent(); }
Tensor Primitives::unpack_gradient(const Job&, const float*, const Shape&) { absent(); }

DType kernel_type(const ConvGeometry& g) { return g.dtype; }
std::int64_t merged_groups(const ConvGeometry&) { return 1; }
bool takes(Primitives&, Direction, const ConvGeometry&, std::int64_t) { return false; }
void forward(Primitives&, const ConvGeometry&, std::int64_t, const Tensor&, std::uint64_t,
             const void*, const float*, void*, const EpilogueInputs&) {
  absent();
}
void backward_data(Primitives&, const ConvGeometry&, std::int64_t, const Tensor&, std::uint64_t,
                   const void*, void*) {
  absent();
}
Tensor backward_weights(Primitives&, const ConvGeometry&, std::int64_t, const Shape&, const void*,
                        const void*) {
  absent();
}
std::string doubts() { return {}; }
std::string version_text() { return {}; }

}  // namespace exciton::ops::onednn
