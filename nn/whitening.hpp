/// Filters that whiten the small patches of images.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/core/tensor.hpp"

namespace exciton::nn {

/// Eigenvalues of a symmetric matrix, in descending order, and an eigenvector of length 1 for each.
struct SymmetricEigen {
  std::vector<double> values;   ///< [n]
  std::vector<double> vectors;  ///< [n, n], row i belongs to values[i]
};

/// By Jacobi's rotations (Golub and Van Loan 2013, section 8.5), for matrices of some tens of rows.
/// Of the two directions of an eigenvector the one is taken whose largest element (the first of
/// several) is positive. Errors: not n n numbers, or not finite.
SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::int64_t n);

/// Of images [N, H, W, C] (f32) all patches of kernel x kernel pixels, p of d = C kernel^2 values.
/// With C = E[p p'] = V diag(l) V' (not centred) the filters
///   [2 d, C, kernel, kernel]:  v_i / sqrt(l_i + eps) in descending order of l, then their
///   negatives
/// whose outputs have about unit variance and no correlation. As the first layer of hlb-CIFAR10
/// (Page 2019, "How to Train Your ResNet 8: Bag of Tricks"; Jordan 2024, arXiv 2404.00498, section
/// 3.1). The bits do not depend on the number of threads. Errors: rank or type of images, fewer
/// pixels than the window.
Tensor whitening_filters(const Tensor& images, std::int64_t kernel, double eps = 5e-4);

}  // namespace exciton::nn
