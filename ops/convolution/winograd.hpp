/// 3x3 convolutions by Winograd's products, in f32 over maps of f32 or bf16. With stride 1, F(4x4,
/// 3x3): 36 products an input and output channel for 16 pixels, where the direct sum takes 144.
/// With stride 2 the outer taps see the odd pixels and the middle one the even, five products by
/// F(4, 2) and four: 81 for 144.
///
/// A 4x4 tile of y depends on a 6x6 tile d of x (9x9 with stride 2). With the matrices of the
/// interpolation points 0, +-1/sqrt 2, +-sqrt 2 and infinity (`ops/simd/winograd_kernels.cpp`; F(4,
/// 2) needs no 0)
///
///     y  = A^T [ sum over c of (G w G^T) o (B^T d B) ] A                  o: product by element
///     dx   the same with dy for x, and w rotated by 180 degrees with its channels exchanged
///          (with stride 2 an 8x8 tile of dx depends on a 5x5 tile of dy)
///     dw = G^T [ sum over tiles of (B^T d B) o (A dy A^T) ] G
///
/// and the sums over channels or tiles are matrix products, one a position. The last line is the
/// derivative of the first, for y is bilinear. Lavin & Gray, Fast Algorithms for Convolutional
/// Neural Networks, arXiv 1509.09308; the points after the error analysis of Barabasz et al., arXiv
/// 1803.10986.
///
/// Rounding: these points keep errors within a few times those of the direct sum (the tests hold
/// them to 1e-5 of the largest output). Over bf16 maps weights are rounded to bf16 and all between
/// stays f32, so that y differs from the native products' only by its own rounding.
///
/// Where a layer allows it (WinogradProducts::bf16) and the processor multiplies pairs of bf16,
/// transformed maps and weights are rounded to bf16 and summed in f32, by F(3x3, 3x3): 25 products
/// for 9 pixels, with the points +-3/8, +-5/4 and infinity, which lose least there (0.5 % of the
/// root mean square of the result; native products 0.17 %). WinogradProducts::bf16_4x4 takes
/// F(4x4, 3x3) with 0, +-0.65, +-3/2 and infinity: 36 products for 16 pixels, 0.9 %. Stride 2 has
/// the former's points, and loses 0.4 %. Tiles are half
/// as large in memory, so that wide layers keep them in the second-level cache.
///
/// Where maps are no multiple of a tile and tiles are many, stride 1 fills them to the edge with
/// tiles of two sizes, the other a pixel smaller each way: 7 pixels are 4 + 3, or 3 + 2 + 2 where
/// tiles have 3x3, which takes 121 products in the place of 144, and 169 of 225.
///
/// EXCITON_CONV (ops/convolution/path.hpp) switches it off, or on for all bf16 maps.
#pragma once
#include <utility>
#include <vector>

#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/convolution/geometry.hpp"

namespace exciton::ops {

class Winograd {
 public:
  /// Whether all directions can run here: the form above, and channels that fill vectors.
  static bool can_run(const ConvGeometry& g);

  /// Whether this direction of the convolution of so many images should, too: maps whose type the
  /// processor does not multiply faster, and tiles enough. Transformed weights cost nothing where
  /// they are kept from call to call.
  static bool applicable(const ConvGeometry& g, std::int64_t images, Direction direction,
                         bool keeps_weights = false);

  /// Which of Winograd's rows in the table of kernels.hpp then runs.
  static ConvKernel kernel_of(const ConvGeometry& g);

  /// y = epilogue(conv(x) + bias), x, y and the shortcut of the type that `g` names; bias [O] may
  /// be null. Weights [O, C, 3, 3] f32 are transformed once a version, kernel and type of maps.
  void forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
               std::uint64_t version, const void* x, const float* bias, void* y,
               const EpilogueInputs& epilogue = {}, bool keeps_weights = false);
  /// dx [N, H, W, C] of dy [N, H, W, O]. The rotated weights are transformed on every call:
  /// training changes them before the next.
  static void backward_data(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                            const void* dy, void* dx);
  /// dw [O, C, 3, 3]. A sum over leaves of images (ops/leaves.hpp); one leaf where the sums are
  /// 64 x 128 or wider.
  static Tensor backward_weights(const ConvGeometry& g, std::int64_t images, const void* x,
                                 const void* dy);

  void drop_weights() { packed_ = {}; }

 private:
  /// Transformed weights, and all that they depend on.
  struct Packed {
    using Sizes = std::vector<std::pair<bool, bool>>;  ///< of tiles: a pixel lower, narrower
    std::vector<Tensor> values;                        ///< for each of the sizes
    std::uint64_t version = 0;
    Shape weights;
    ConvKernel kernel = ConvKernel::none;
    DType maps = DType::f32;
    Sizes sizes;
  };
  Packed packed_;
};

}  // namespace exciton::ops
