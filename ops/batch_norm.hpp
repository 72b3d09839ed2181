/// Batch normalisation over the channels of channels-last images (Ioffe and Szegedy 2015).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// Running mean and variance [C] (f32), updated in training as
///   running = (1 - momentum) running + momentum batch
/// with the unbiased batch variance, as PyTorch does. Buffers of the layer.
struct RunningStats {
  Tensor mean, var;
};

struct BatchNormSpec {
  double eps = 1e-5;
  double momentum = 0.1;
  bool training = true;             ///< batch statistics; else the running ones
  RunningStats* running = nullptr;  ///< updated when training; needed when not
};

/// Mean and 1 / sqrt(var + eps) of every channel, [C]. The mean is center + rest: the former in the
/// type of parameters, for kernels to subtract, the latter what its rounding left.
struct NormStatistics {
  Tensor center, rest, rstd;  ///< types of parameters, f64, of parameters
};

/// gamma (y - mean) / sqrt(var + eps) + beta as a (y - center) + b, [C] each.
struct NormAffine {
  Tensor a, b;
  NormAffine() = default;
  NormAffine(const NormStatistics& stats, const Tensor& gamma, const Tensor& beta);
};

namespace simd {
struct ImageMoments;
}

/// How many values a channel's statistics are of, where `count` of them, in `images` images, are
/// here; and two sums over the images that are here, made those over the ranks, where norms are
/// shared by several (core/group.hpp).
double values_of_norm(std::int64_t count, std::int64_t images);
void sum_of_norms(std::vector<double>& first, std::vector<double>& second);

/// Batch statistics of maps with these moments over `count` values per channel, and the running
/// ones updated as `spec` says. In evaluation the moments are not read and may be null. `type` f32
/// or f64. Errors as BatchNorm.
NormStatistics norm_statistics(const BatchNormSpec& spec, const simd::ImageMoments* moments,
                               std::int64_t count, std::int64_t channels, DType type);

/// x [N, H, W, C] (or [N, C]), gamma [C], beta [C]:
///   y = gamma (x - mu) / sqrt(var + eps) + beta
/// mu, var over N, H, W in training (biased variance), running ones else. Sums are taken of x less
/// a value near mu, forward and backward, so that a mean that is large beside the deviation costs
/// no digits: the variance is as exact as the type of x holds x - mu. Backward (training), xh the
/// normalised x, m = N H W:
///   dbeta = sum dy, dgamma = sum dy xh, dx = gamma r (dy - dbeta/m - xh dgamma/m)
/// Errors: channel counts, missing running statistics, one value per channel when training.
struct BatchNorm {
  static constexpr std::string_view name = "batch_norm";
  BatchNormSpec spec;
  struct Saved {
    Tensor x, gamma;
    NormStatistics stats;
  };
  Tensor forward(Saved& saved, const Tensor& x, const Tensor& gamma, const Tensor& beta) const;
  Grads<3> backward(Saved& saved, Tensor dy, Needs<3> needs) const;
  static std::vector<Example<BatchNorm>> examples();
};

inline Var batch_norm(const Var& x, const Var& gamma, const Var& beta, const BatchNormSpec& spec) {
  return apply(BatchNorm{spec}, x, gamma, beta);
}

}  // namespace exciton::ops
