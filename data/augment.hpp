/// From images to network input: which part of an image is taken, what is done to its pixels, and
/// normalisation.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "exciton/core/dtype.hpp"
#include "exciton/core/random.hpp"
#include "exciton/core/tensor.hpp"
#include "exciton/data/dataset.hpp"

namespace exciton::data {

/// A random part of an image, stretched to the output (Szegedy et al. 2015; torchvision's
/// RandomResizedCrop): area uniform in [scale_low, scale_high] of the image's, width / height
/// log-uniform in [ratio_low, ratio_high]. After ten draws that do not fit into the image: its
/// largest middle part of an allowed ratio.
struct RandomResizedCrop {
  double scale_low = 0, scale_high = 1;  ///< scale_low 0: off
  double ratio_low = 3.0 / 4, ratio_high = 4.0 / 3;
};

/// Colour jitter, in a random order (torchvision's ColorJitter): factors uniform in [1 - x, 1 + x],
/// the hue turned by up to `hue` of the circle to either side.
struct ColourJitter {
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;
  bool on() const { return brightness > 0 || contrast > 0 || saturation > 0 || hue > 0; }
};

/// RandAugment (Cubuk et al. 2020): so many of 14 operations, each drawn anew, at one magnitude of
/// 0 to 30. Operations and their ranges are torchvision's.
struct RandAugment {
  std::int64_t operations = 0;  ///< 0: off
  double magnitude = 9;
};

/// Random erasing (Zhong et al. 2020): with this probability a rectangle of 2 to 33 % of the image,
/// of height / width 0.3 to 3.3, is set to 0 after normalisation.
struct RandomErasing {
  double probability = 0;
};

/// Applied in this order: crop and resize to `size`; RandAugment; rotation; colour jitter; zero-pad
/// and random crop; horizontal flip; normalise (with lighting); cutout; erasing; and, on whole
/// batches, mixup or cutmix.
///   y[h,w,c] = (x[h + dy, w + dx, c] / 255 + light[c] - mean[c]) / std[c]
/// with dy and dx uniform in [-pad, pad] and x = 0 outside of the image: torchvision's
/// RandomCrop(size, padding=pad), RandomHorizontalFlip, ToTensor and Normalize.
struct Augment {
  std::int64_t size = 0;          ///< side of the output; 0: each image as it is
  std::int64_t shorter_side = 0;  ///< without a random resized crop: the shorter side is resized to
                                  ///< this, and the middle taken; 0: as `size`
  RandomResizedCrop random_resized_crop;
  std::int64_t pad = 0;  ///< pixels of value 0 added on each side before the crop back to size
  bool reflect = false;  ///< those pixels mirror the image at its border instead, which is not
                         ///< repeated (torchvision's padding_mode "reflect"); pad < side then
  bool flip = false;     ///< mirror left-right with probability 1/2
  /// With flip: an image is mirrored in every other epoch, from the first or from the second, which
  /// is drawn once for it (Jordan 2024, arXiv 2404.00498, section 3.6).
  bool alternating = false;
  std::int64_t cutout = 0;  ///< side of one square set to 0 after normalisation, its centre uniform
                            ///< over the image (DeVries and Taylor 2017); 0: none
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};  ///< per channel, of pixels scaled to 0..1
  double rotation = 0;  ///< degrees to either side, uniform; what comes in is the mean
  ColourJitter jitter;
  double lighting = 0;  ///< deviation of the weights of ImageNet's three principal colours that are
                        ///< added (Krizhevsky et al. 2012: 0.1); for RGB
  RandAugment rand_augment;
  RandomErasing erasing;
  double mixup = 0;   ///< alpha of Beta(alpha, alpha): images are mixed (Zhang et al. 2018); 0: no
  double cutmix = 0;  ///< alpha: a box comes from another image (Yun et al. 2019); with both,
                      ///< either of them is drawn for each batch

  /// Writes image `in` as row-major [H, W, C] to `out` (H, W, C of the image itself): everything
  /// above but the crop to `size`, which is made when the image is read, and the batches.
  /// Errors: as Augmenter.
  void operator()(const Image& in, Generator& rng, float* out) const;
};

/// How the labels of a mixed batch go together: labels[n] counts `weight`, labels of image n + 1
/// (of image 0 for the last) count 1 - weight.
struct Mixing {
  double weight = 1;
  bool on() const { return weight < 1; }
};

/// An Augment made ready for images of so many channels. Const use from several threads is safe.
class Augmenter {
 public:
  /// Errors: channels not 1 to 3, a negative extent, a deviation that is not positive, ranges that
  /// are none.
  Augmenter(const Augment& augment, std::int64_t channels);

  /// True when images are resized as they are read, with frame().
  bool resizes() const { return augment_.size > 0; }
  /// The part of an image of such a size that is taken. Numbers are drawn for a random resized crop
  /// only.
  View frame(Size size, Generator& rng) const;

  /// The rest for one image. Draws only for what is switched on, in the order above. `mirrored` is
  /// taken in place of a draw, see alternates().
  void operator()(const Image& in, Generator& rng, float* out,
                  std::optional<bool> mirrored = {}) const;
  /// The f32 result rounded to bf16.
  void operator()(const Image& in, Generator& rng, bf16* out,
                  std::optional<bool> mirrored = {}) const;
  /// Whether images are mirrored by the epoch: who knows it says so.
  bool alternates() const { return augment_.flip && augment_.alternating; }

  /// Mixes a batch [N, H, W, C] (f32 or bf16) in place, each image with the next one.
  Mixing mix(Tensor& batch, Generator& rng) const;
  /// Whether it ever does.
  bool mixes() const { return augment_.mixup > 0 || augment_.cutmix > 0; }

 private:
  template <class T>
  void run(const Image& in, Generator& rng, const std::vector<T>& table,
           std::optional<bool> mirrored, T* out) const;
  void change_pixels(Image& image, Generator& rng) const;
  bool changes_pixels() const;
  std::vector<float> table_with(const std::array<double, 3>& light) const;

  Augment augment_;
  std::int64_t channels_;
  std::array<std::uint8_t, 3> fill_{};  ///< the mean as a pixel
  std::vector<float> f32_;              ///< [channels, 256]
  std::vector<bf16> bf16_;              ///< [channels, 256]
};

}  // namespace exciton::data
