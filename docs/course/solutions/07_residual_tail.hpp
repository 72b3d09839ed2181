/// Exercise 7, solved.
#pragma once
#include "exciton/core/tensor.hpp"

namespace course {

using exciton::DType, exciton::Tensor;

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
inline Tensor squeezed(const Tail& t) {
  Tensor z({t.images, t.channels}, DType::f64);
  for (std::int64_t i = 0; i < z.numel(); ++i) {
    const std::int64_t c = i % t.channels;
    z.set(i, t.a.at(c) * t.sum_y.at(i) / static_cast<double>(t.pixels) + t.b.at(c));
  }
  return z;
}

/// ds [N, C], the gradient of the gates.
inline Tensor gate_gradient(const Tail& t) {
  Tensor ds({t.images, t.channels}, DType::f64);
  for (std::int64_t i = 0; i < ds.numel(); ++i) {
    const std::int64_t c = i % t.channels;
    ds.set(i, t.a.at(c) * t.sum_gy.at(i) + t.b.at(c) * t.sum_g.at(i));
  }
  return ds;
}

/// dgamma and dbeta [C], and dy = p g + q (y - mu) + shift with p and shift [N, C] and q [C].
struct TailGradients {
  Tensor dgamma, dbeta, p, q, shift;
};

/// The rest of backward, once the excitation has turned ds into dz [N, C].
inline TailGradients tail_gradients(const Tail& t, const Tensor& dz) {
  const auto pixels = static_cast<double>(t.pixels);
  const double m = static_cast<double>(t.images) * pixels;
  Tensor dgamma = Tensor::zeros({t.channels}, DType::f64), dbeta = dgamma.clone(),
         q = dgamma.clone();
  Tensor p({t.images, t.channels}, DType::f64), shift = p.clone();
  for (std::int64_t i = 0; i < p.numel(); ++i) {
    const std::int64_t c = i % t.channels;
    const double s = t.gates.at(i), rstd = t.rstd.at(c);
    dbeta.set(c, dbeta.at(c) + s * t.sum_g.at(i) + dz.at(i));
    dgamma.set(c, dgamma.at(c) + rstd * (s * t.sum_gy.at(i) + dz.at(i) * t.sum_y.at(i) / pixels));
  }
  for (std::int64_t c = 0; c < t.channels; ++c)
    q.set(c, -t.a.at(c) * t.rstd.at(c) * dgamma.at(c) / m);
  for (std::int64_t i = 0; i < p.numel(); ++i) {
    const std::int64_t c = i % t.channels;
    p.set(i, t.a.at(c) * t.gates.at(i));
    shift.set(i, t.a.at(c) * (dz.at(i) / pixels - dbeta.at(c) / m));
  }
  return {dgamma, dbeta, p, q, shift};
}

}  // namespace course
