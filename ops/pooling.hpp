/// Pooling over windows and over whole images.
#pragma once
#include <string_view>
#include <vector>

#include "core/operator.hpp"
#include "core/tape.hpp"

namespace exciton::ops {

struct PoolSpec {
  std::int64_t kernel = 2, stride = 2, padding = 0;
  /// Round the output size up, as Caffe does; a last window that would start in the padding is
  /// left out, as in PyTorch.
  bool ceil_mode = false;
  /// avg_pool: padded zeros count as pixels of the window.
  bool count_include_pad = true;
};

/// [N, H', W', C] for x [N, H, W, C]. Errors: rank, kernel or stride below 1, padding above half
/// the kernel, no output pixel.
Shape pool_shape(std::string_view name, const Shape& x, const PoolSpec& spec);

/// x [N, H, W, C] -> the maximum of each window; padding never wins.
/// Backward: dy goes to the first maximum of its window (row by row).
struct MaxPool {
  static constexpr std::string_view name = "max_pool";
  PoolSpec spec;
  struct Saved {
    Shape shape;
    Tensor where;  ///< i64, pixel of the maximum inside its image, shape of y
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<MaxPool>> examples();
};
inline Var max_pool(const Var& x, const PoolSpec& spec) { return apply(MaxPool{spec}, x); }

/// x [N, H, W, C] -> the mean of each window, over its pixels and, with count_include_pad, its
/// padding. Backward: dy over that count to every pixel of the window.
struct AvgPool {
  static constexpr std::string_view name = "avg_pool";
  PoolSpec spec;
  struct Saved {
    Shape shape;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<AvgPool>> examples();
};
inline Var avg_pool(const Var& x, const PoolSpec& spec) { return apply(AvgPool{spec}, x); }

/// x [N, H, W, C] -> y [N, C], the mean over all pixels; f32 for f32 and bf16 images, f64 for f64.
/// Backward: dx = dy / (H W).
struct GlobalAvgPool {
  static constexpr std::string_view name = "global_avg_pool";
  struct Saved {
    Shape shape;
    DType dtype = DType::f32;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<GlobalAvgPool>> examples();
};
inline Var global_avg_pool(const Var& x) { return apply(GlobalAvgPool{}, x); }

}  // namespace exciton::ops
