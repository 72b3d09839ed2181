/// From decoded pixels to network input: normalisation, and the CIFAR augmentations.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/dtype.hpp"
#include "core/random.hpp"
#include "data/dataset.hpp"

namespace exciton::data {

/// Applied in this order: zero-pad and random crop, horizontal flip, normalise, cutout.
///   y[h,w,c] = (x[h + dy, w + dx, c] / 255 - mean[c]) / std[c]
/// with dy and dx uniform in [-pad, pad] and x = 0 outside of the image: torchvision's
/// RandomCrop(size, padding=pad), RandomHorizontalFlip, ToTensor and Normalize.
struct Augment {
  std::int64_t pad = 0;     ///< pixels of value 0 added on each side before the crop back to size
  bool flip = false;        ///< mirror left-right with probability 1/2
  std::int64_t cutout = 0;  ///< side of one square set to 0 after normalisation, its centre uniform
                            ///< over the image (DeVries and Taylor 2017); 0: none
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};  ///< per channel, of pixels scaled to 0..1

  /// Writes image `in` as row-major [H, W, C] to `out` (H, W, C of the image itself).
  /// Errors: as Augmenter.
  void operator()(const Image& in, Generator& rng, float* out) const;
};

/// An Augment made ready for images of so many channels: the normalised value of each pixel value
/// is looked up, already in the type of the output. Const use from several threads is safe.
class Augmenter {
 public:
  /// Errors: channels not 1 to 3, a negative extent, a deviation that is not positive.
  Augmenter(const Augment& augment, std::int64_t channels);

  /// Takes from `rng` two integers when pad > 0, one number when flip, two integers when cutout >
  /// 0.
  void operator()(const Image& in, Generator& rng, float* out) const;
  /// The f32 result rounded to bf16.
  void operator()(const Image& in, Generator& rng, bf16* out) const;

 private:
  template <class T>
  void run(const Image& in, Generator& rng, const std::vector<T>& table, T* out) const;

  Augment augment_;
  std::int64_t channels_;
  std::vector<float> f32_;  ///< [channels, 256]
  std::vector<bf16> bf16_;  ///< [channels, 256]
};

}  // namespace exciton::data
