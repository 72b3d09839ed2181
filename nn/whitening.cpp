#include "exciton/nn/whitening.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exciton/core/error.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::nn {
namespace {

/// Turns rows and columns p and q of the symmetric `a` so that a[p, q] is 0, and rows p and q of v.
void rotate(std::vector<double>& a, std::vector<double>& v, std::size_t n, std::size_t p,
            std::size_t q) {
  const double off = a[p * n + q];
  if (off == 0) return;
  const double theta = (a[q * n + q] - a[p * n + p]) / (2 * off);
  const double t = std::copysign(1 / (std::abs(theta) + std::hypot(1, theta)), theta);
  const double c = 1 / std::hypot(1, t), s = t * c;
  const auto turn = [&](double& x, double& y) {
    const double old = x;
    x = c * old - s * y;
    y = s * old + c * y;
  };
  for (std::size_t k = 0; k < n; ++k) turn(a[k * n + p], a[k * n + q]);
  for (std::size_t k = 0; k < n; ++k) turn(a[p * n + k], a[q * n + k]);
  for (std::size_t k = 0; k < n; ++k) turn(v[p * n + k], v[q * n + k]);
  a[p * n + q] = a[q * n + p] = 0;
}

/// E[p p'] of all patches, [d, d] with d in the order channel, row, column. In double, image by
/// image in pieces of a fixed size.
std::vector<double> second_moment(const Tensor& images, std::int64_t kernel) {
  const std::int64_t n = images.dim(0), h = images.dim(1), w = images.dim(2), c = images.dim(3);
  const auto d = static_cast<std::size_t>(c * kernel * kernel);
  constexpr std::int64_t piece = 16;
  const std::int64_t pieces = (n + piece - 1) / piece;
  std::vector<std::vector<double>> sums(static_cast<std::size_t>(pieces));
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> patch(d);
    for (std::int64_t i = begin; i < end; ++i) {
      std::vector<double>& sum = sums[static_cast<std::size_t>(i)];
      sum.assign(d * d, 0);
      const std::int64_t last = std::min(n, (i + 1) * piece);
      for (std::int64_t image = i * piece; image < last; ++image)
        for (std::int64_t y = 0; y + kernel <= h; ++y)
          for (std::int64_t x = 0; x + kernel <= w; ++x) {
            const float* const corner = images.data<float>() + ((image * h + y) * w + x) * c;
            std::size_t k = 0;
            for (std::int64_t channel = 0; channel < c; ++channel)
              for (std::int64_t dy = 0; dy < kernel; ++dy)
                for (std::int64_t dx = 0; dx < kernel; ++dx)
                  patch[k++] = static_cast<double>(corner[(dy * w + dx) * c + channel]);
            for (std::size_t a = 0; a < d; ++a)
              for (std::size_t b = 0; b <= a; ++b) sum[a * d + b] += patch[a] * patch[b];
          }
    }
  });
  std::vector<double> out(d * d);
  const auto patches = static_cast<double>(n * (h - kernel + 1) * (w - kernel + 1));
  for (std::size_t a = 0; a < d; ++a)
    for (std::size_t b = 0; b <= a; ++b) {
      double total = 0;
      for (const std::vector<double>& sum : sums) total += sum[a * d + b];
      out[a * d + b] = out[b * d + a] = total / patches;
    }
  return out;
}

}  // namespace

SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::int64_t n) {
  check(n >= 1 && std::ssize(matrix) == n * n, "symmetric_eigen: expected ", n, " x ", n,
        " numbers, got ", matrix.size());
  check(std::ranges::all_of(matrix, [](double x) { return std::isfinite(x); }),
        "symmetric_eigen: the matrix has a value that is no finite number");
  const auto size = static_cast<std::size_t>(n);
  std::vector<double> v(size * size);
  for (std::size_t i = 0; i < size; ++i) v[i * size + i] = 1;
  constexpr int most_sweeps = 64;  // some six are enough
  for (int sweep = 0; sweep < most_sweeps; ++sweep) {
    double off = 0, diagonal = 0;
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j)
        (i == j ? diagonal : off) += matrix[i * size + j] * matrix[i * size + j];
    if (off <= 1e-30 * diagonal) break;
    for (std::size_t p = 0; p < size; ++p)
      for (std::size_t q = p + 1; q < size; ++q) rotate(matrix, v, size, p, q);
  }
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return matrix[a * size + a] > matrix[b * size + b];
  });
  SymmetricEigen out;
  for (const std::size_t i : order) {
    out.values.push_back(matrix[i * size + i]);
    double largest = 0;
    for (std::size_t k = 0; k < size; ++k)
      if (std::abs(v[i * size + k]) > std::abs(largest)) largest = v[i * size + k];
    for (std::size_t k = 0; k < size; ++k)
      out.vectors.push_back(largest < 0 ? -v[i * size + k] : v[i * size + k]);
  }
  return out;
}

Tensor whitening_filters(const Tensor& images, std::int64_t kernel, double eps) {
  check(images.rank() == 4 && images.dtype() == DType::f32,
        "whitening: expected images [N, H, W, C] in f32, got ", images.shape(), " in ",
        images.dtype());
  check(kernel >= 1 && images.dim(0) >= 1 && images.dim(1) >= kernel && images.dim(2) >= kernel,
        "whitening: no patch of ", kernel, " x ", kernel, " pixels in images ", images.shape());
  const std::int64_t channels = images.dim(3), d = channels * kernel * kernel;
  const SymmetricEigen eigen = symmetric_eigen(second_moment(images, kernel), d);
  Tensor out({2 * d, channels, kernel, kernel});
  float* const filters = out.data<float>();
  for (std::int64_t i = 0; i < d; ++i) {
    // Rounding may leave an eigenvalue of 0 a little below.
    const double length = std::sqrt(std::max(0.0, eigen.values[static_cast<std::size_t>(i)]) + eps);
    for (std::int64_t k = 0; k < d; ++k) {
      const auto value =
          static_cast<float>(eigen.vectors[static_cast<std::size_t>(i * d + k)] / length);
      filters[i * d + k] = value;
      filters[(d + i) * d + k] = -value;
    }
  }
  return out;
}

}  // namespace exciton::nn
