/// Evaluation on several views of an image, by one model or an ensemble (section 5 of the SENet
/// paper).
///
/// An image is resized so that its shorter side has each of the given lengths; out of each result a
/// square is cut from the middle, or ten: the four corners, the middle, and their mirror images
/// (Krizhevsky et al. 2012). A class's probability is the mean over all views and all models of the
/// softmax. Multi-scale evaluation means such crops at several scales, not the fully convolutional
/// form of Simonyan and Zisserman 2015: crops fit every network and every shape of image.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "exciton/data/augment.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/train/evaluate.hpp"

namespace exciton::train {

struct ViewSpec {
  std::vector<std::int64_t> scales;  ///< lengths of the shorter side; none: images as they come
  std::int64_t crop = 0;             ///< side of the squares
  bool ten = false;                  ///< ten squares a scale in place of one
  /// Each square also mirrored. The mean is of logits then, not of probabilities.
  bool mirror = false;
  /// Above 0, with mirror: each square also moved so many pixels up and left, and down and right,
  /// what comes in being its reflection (Jordan 2024, arXiv 2404.00498, section 3.5). In the mean
  /// of the logits squares in their place count half, those moved a quarter each way.
  std::int64_t translate = 0;

  std::int64_t count() const { return squares() * each(); }
  /// Squares cut from an image, and what is made of each.
  std::int64_t squares() const {
    return (scales.empty() ? 1 : static_cast<std::int64_t>(scales.size())) * (ten ? 10 : 1);
  }
  std::int64_t each() const { return mirror ? (translate > 0 ? 6 : 2) : 1; }
};

/// The spec.count() views of an image: scale by scale, in each top left, top right, bottom left,
/// bottom right, middle, then the five mirrored; or the middle alone; with `mirror`, of each of
/// these itself, its mirror image, and with `translate` the same of both moved ones. A view is
/// resized straight from the image, and has the pixels of the resized whole. Errors: a square that
/// does not fit, or is moved by its side or more; a translation without mirror.
std::vector<data::Image> views(const data::Image& image, const ViewSpec& spec);

/// A model of an ensemble, and how it wants its images.
struct Member {
  nn::Module* net = nullptr;
  ViewSpec views;
  data::Augment normalization;  ///< mean and std only
  DType dtype = DType::f32;
};

struct ViewsOptions {
  std::int64_t batch = 128;  ///< images at a time, and as many views a forward pass
  bool skip_errors = false;  ///< leave out images that cannot be read, and count them
};

/// Evaluates the mean of all members' probabilities on the whole data set. Nets must be in
/// evaluation mode. `each` is called after every batch with the images seen so far. Errors: of
/// views; a data set and nets of different classes; images that cannot be read.
Evaluation evaluate_views(const std::vector<Member>& members, const data::Dataset& set,
                          const ViewsOptions& options,
                          const std::function<void(std::int64_t)>& each = {},
                          const EachImage& image = {});

}  // namespace exciton::train
