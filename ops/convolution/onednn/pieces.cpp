#include "exciton/ops/convolution/onednn/pieces.hpp"

#include <algorithm>

namespace exciton::ops::onednn {
namespace {

std::int64_t weights_of(const ConvGeometry& g) { return g.o * (g.c / g.spec.groups) * g.kh * g.kw; }

std::int64_t multiply_adds(const ConvGeometry& g, std::int64_t images) {
  return images * g.oh * g.ow * weights_of(g);
}

/// Parts of a leaf that are worth a job, a power of two.
std::int64_t parts_of(const ConvGeometry& g, const Leaves& leaves) {
  const std::int64_t work = leaves.in_batch(multiply_adds(g, leaves.images));
  std::int64_t out = 1;
  while (leaves.of_batch * out < Leaves::most &&
         work / (2 * leaves.of_batch * out) >= Leaves::least_work)
    out *= 2;
  return out;
}

/// Rows of x that rows of y see, and the padding above and below them.
struct Slab {
  Chunk rows;
  std::int64_t above, below;
  Slab(const ConvGeometry& g, Chunk of) {
    const ConvSpec& s = g.spec;
    const std::int64_t first = of.begin * s.stride - s.padding,
                       end = (of.end - 1) * s.stride - s.padding + (g.kh - 1) * s.dilation + 1;
    rows = {std::max<std::int64_t>(0, first), std::min(g.h, end)};
    above = rows.begin - first;
    below = end - rows.end;
  }
};

/// Whether each of so many pieces has a row, and sees one.
bool has_rows(const ConvGeometry& g, std::int64_t parts) {
  if (g.oh < parts) return false;
  for (int p = 0; p < parts; ++p) {
    const Slab in(g, chunk_of(g.oh, p, static_cast<int>(parts)));
    if (in.rows.begin >= in.rows.end) return false;
  }
  return true;
}

}  // namespace

Pieces::Pieces(const ConvGeometry& g, std::int64_t images, Direction direction, std::int64_t most) {
  const Leaves leaves = Leaves(images).worth(multiply_adds(g, images));
  const std::int64_t parts = parts_of(g, leaves);
  for (int l = 0; l < leaves.count; ++l)
    for (std::int64_t n = leaves[l].begin; n < leaves[l].end; n += most)
      add(g, direction, n, std::min(leaves[l].end - n, most), parts);
}

void Pieces::add(const ConvGeometry& g, Direction direction, std::int64_t first,
                 std::int64_t images, std::int64_t parts) {
  const bool forward = direction == Direction::forward;
  constexpr std::int64_t narrowest = 32;  // channels of a block: whole vectors
  const std::int64_t channels = forward ? g.o : g.c;
  std::int64_t blocks = g.spec.groups == 1 ? parts : 1;
  while (blocks > 1 && channels % (blocks * narrowest) != 0) blocks /= 2;
  const bool heavy = weights_of(g) > images * std::max(g.x_image(), g.y_image());
  const bool whole_maps = parts > 1 && !(heavy && blocks > 1);
  const bool pointwise = g.kh == 1 && g.kw == 1 && g.spec.stride == 1 && g.spec.padding == 0 &&
                         g.spec.row_padding() == 0;
  if (whole_maps && pointwise) return add_pixels(g, first, images, parts);
  if (whole_maps && forward && images == 1 && has_rows(g, parts)) return add_rows(g, first, parts);
  ConvGeometry part = g;
  (forward ? part.o : part.c) /= blocks;
  for (std::int64_t b = 0; b < blocks; ++b)
    add_piece({part, images, {b, blocks}}, {0, first, first * g.x_image(), first * g.y_image()});
}

void Pieces::add_pixels(const ConvGeometry& g, std::int64_t first, std::int64_t images,
                        std::int64_t parts) {
  const std::int64_t pixels = images * g.h * g.w, runs = std::min(parts, pixels);
  for (int p = 0; p < runs; ++p) {
    const Chunk run = chunk_of(pixels, p, static_cast<int>(runs));
    ConvGeometry part = g;
    part.h = part.oh = 1;
    part.w = part.ow = run.end - run.begin;
    add_piece({part, 1, {}}, {0, first, first * g.x_image() + run.begin * g.c,
                              first * g.y_image() + run.begin * g.o});
  }
}

void Pieces::add_rows(const ConvGeometry& g, std::int64_t image, std::int64_t parts) {
  for (int p = 0; p < parts; ++p) {
    const Chunk rows = chunk_of(g.oh, p, static_cast<int>(parts));
    const Slab in(g, rows);
    ConvGeometry part = g;
    part.h = in.rows.end - in.rows.begin;
    part.oh = rows.end - rows.begin;
    part.spec.padding = in.above;
    part.spec.padding_w = g.spec.row_padding();
    part.below = in.below;
    add_piece({part, 1, {}}, {0, image, image * g.x_image() + in.rows.begin * g.w * g.c,
                              image * g.y_image() + rows.begin * g.ow * g.o});
  }
}

void Pieces::add_piece(const Kind& kind, Piece piece) {
  const auto at = std::find(kinds.begin(), kinds.end(), kind);
  piece.kind = static_cast<std::size_t>(at - kinds.begin());
  if (at == kinds.end()) kinds.push_back(kind);
  all.push_back(piece);
}

GradientTasks::GradientTasks(const ConvGeometry& g, std::int64_t images)
    : leaves(Leaves::of_gradient(images, weights_of(g) * merged_groups(g),
                                 images * (g.x_image() + g.y_image()))
                 .worth(multiply_adds(g, images))),
      geometry(g) {
  constexpr std::int64_t narrowest = 64;
  const std::int64_t work = leaves.in_batch(multiply_adds(g, images));
  while (g.spec.groups == 1 && leaves.of_batch * blocks < Leaves::most &&
         g.o % (2 * blocks * narrowest) == 0 &&
         work / (2 * leaves.of_batch * blocks) >= Leaves::least_work)
    blocks *= 2;
  geometry.o /= blocks;
}

std::vector<std::int64_t> GradientTasks::counts() const {
  std::vector<std::int64_t> out;
  for (int l = 0; l < leaves.count; ++l) {
    const std::int64_t images = leaves[l].end - leaves[l].begin;
    if (std::find(out.begin(), out.end(), images) == out.end()) out.push_back(images);
  }
  return out;
}

}  // namespace exciton::ops::onednn
