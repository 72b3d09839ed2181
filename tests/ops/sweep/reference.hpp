/// Convolution and its gradients in double, by the formula of ops/convolution/conv2d.hpp: simple
/// loops, made to be quick enough for many thousand forms. Kept apart from the operator's plain
/// twin, which a test holds against it.
#pragma once
#include <vector>

#include "sweep/form.hpp"

namespace exciton::sweep {

using Numbers = std::vector<double>;

/// conv(x, w) without a bias, [N, H', W', O].
Numbers reference_forward(const Form& f, const Numbers& x, const Numbers& w);
/// dx of dy, [N, H, W, C].
Numbers reference_backward_data(const Form& f, const Numbers& dy, const Numbers& w);
/// dw, [O, C/groups, kH, kW].
Numbers reference_backward_weights(const Form& f, const Numbers& x, const Numbers& dy);

}  // namespace exciton::sweep
