/// Squeeze: global information embedding (paper section 3.1, eq. 2).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

enum class SqueezeKind { avg, max };

/// x [N, H, W, C] -> z [N, C], z[n,c] = mean (or maximum, table 11) over h,w of x[n,h,w,c].
/// z is f32 for f32 and bf16 images, f64 for f64.
/// Backward: avg dx = dz / (H W); max dx = dz at the first maximum, 0 elsewhere.
struct Squeeze {
  static constexpr std::string_view name = "squeeze";
  SqueezeKind kind = SqueezeKind::avg;
  struct Saved {
    Form x, z;
    Tensor where;  ///< max: position of the maximum, [N, C] i64
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dz, Needs<1> needs) const;
  static std::vector<Example<Squeeze>> examples();
};

inline Var squeeze(const Var& x, SqueezeKind kind = SqueezeKind::avg) {
  return apply(Squeeze{kind}, x);
}

}  // namespace exciton::ops
