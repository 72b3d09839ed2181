/// Exercise 7: the fused tail, all that happens between its passes over the maps.
#pragma once
#include "exciton/core/tensor.hpp"

namespace course {

using exciton::DType, exciton::fail, exciton::Tensor;

/// What the passes have summed, and the norm. Everything f64; [N, C] for each image and channel,
/// [C] for each channel.
struct Tail {
  std::int64_t images, pixels, channels;  ///< N, H W, C
  Tensor rstd;                            ///< [C] 1 / sqrt(var + eps)
  Tensor a, b;                            ///< [C] the norm is a (y - mu) + b
  Tensor sum_y;                           ///< [N, C] A = sum of y - mu over the pixels
  Tensor gates;                           ///< [N, C] s
  Tensor sum_g;                           ///< [N, C] G = sum of g
  Tensor sum_gy;                          ///< [N, C] P = sum of g (y - mu)
};

/// z [N, C], the mean over the pixels of the normalised map, which nobody has written.
inline Tensor squeezed(const Tail& t) { fail("exercise 7: squeezed() is not written yet"); }

/// ds [N, C], the gradient of the gates.
inline Tensor gate_gradient(const Tail& t) {
  fail("exercise 7: gate_gradient() is not written yet");
}

/// dgamma and dbeta [C], and dy = p g + q (y - mu) + shift with p and shift [N, C] and q [C].
struct TailGradients {
  Tensor dgamma, dbeta, p, q, shift;
};

/// The rest of backward, once the excitation has turned ds into dz [N, C].
inline TailGradients tail_gradients(const Tail& t, const Tensor& dz) {
  fail("exercise 7: tail_gradients() is not written yet");
}

}  // namespace course
