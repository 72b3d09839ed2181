/// How a batch becomes jobs for one thread each: a function of the shapes alone, so that bits do
/// not depend on threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "exciton/ops/convolution/onednn/convolution.hpp"
#include "exciton/ops/leaves.hpp"

namespace exciton::ops::onednn {

/// What one job does of a batch. Whole images; where they are few, a part of one: some of its rows
/// or pixels, or a block of channels, for weights that outweigh the maps are better read once.
struct Piece {
  std::size_t kind;           ///< of Pieces::kinds
  std::int64_t image = 0;     ///< the first
  std::int64_t x = 0, y = 0;  ///< where its maps begin in those of the batch, in elements
};

/// A forward pass or a gradient of the data in pieces.
struct Pieces {
  /// What jobs there are.
  struct Kind {
    ConvGeometry geometry;
    std::int64_t images;
    Block block;
    bool operator==(const Kind&) const = default;
  };
  std::vector<Kind> kinds;
  std::vector<Piece> all;

  /// No job has more than `most` images.
  Pieces(const ConvGeometry& g, std::int64_t images, Direction direction, std::int64_t most);

 private:
  /// So many images from `first` on, in up to so many parts.
  void add(const ConvGeometry& g, Direction direction, std::int64_t first, std::int64_t images,
           std::int64_t parts);
  void add_pixels(const ConvGeometry& g, std::int64_t first, std::int64_t images,
                  std::int64_t parts);
  void add_rows(const ConvGeometry& g, std::int64_t image, std::int64_t parts);
  void add_piece(const Kind& kind, Piece piece);
};

/// A weight gradient in tasks: leaves of images, each of which sums for itself, times blocks of
/// outputs, where leaves are few because weights outweigh the maps.
struct GradientTasks {
  Leaves leaves;
  std::int64_t blocks = 1;
  ConvGeometry geometry;  ///< of a block

  GradientTasks(const ConvGeometry& g, std::int64_t images);
  /// The numbers of images that leaves have.
  std::vector<std::int64_t> counts() const;
};

}  // namespace exciton::ops::onednn
