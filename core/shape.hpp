/// The extents of a tensor, outermost first. Images are [N, H, W, C].
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>

#include "exciton/core/error.hpp"

namespace exciton {

class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) {
    check(dims.size() <= max_rank, "shape: at most ", max_rank, " dimensions, got ", dims.size());
    for (std::int64_t d : dims) push_back(d);
  }

  int rank() const { return rank_; }
  /// Extent of axis i; negative i counts from the last axis. Errors: no such axis.
  std::int64_t operator[](int i) const {
    const int k = i < 0 ? i + rank_ : i;
    check(k >= 0 && k < rank_, "shape: axis ", i, " of ", *this);
    return dims_[static_cast<std::size_t>(k)];
  }
  /// Product of all extents; 1 for rank 0. Errors: it is above 2^63 - 1.
  std::int64_t numel() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank_; ++i)
      check(!__builtin_mul_overflow(n, dims_[static_cast<std::size_t>(i)], &n), "shape: ", *this,
            " has too many elements to count");
    return n;
  }
  void push_back(std::int64_t d) {
    check(rank_ < max_rank, "shape: at most ", max_rank, " dimensions");
    check(d >= 0, "shape: negative extent ", d);
    dims_[static_cast<std::size_t>(rank_++)] = d;
  }

  const std::int64_t* begin() const { return dims_.data(); }
  const std::int64_t* end() const { return dims_.data() + rank_; }
  bool operator==(const Shape& other) const = default;

  friend std::ostream& operator<<(std::ostream& out, const Shape& s) {
    out << '[';
    for (int i = 0; i < s.rank_; ++i)
      out << (i ? ", " : "") << s.dims_[static_cast<std::size_t>(i)];
    return out << ']';
  }
  std::string str() const;

 private:
  std::array<std::int64_t, max_rank> dims_{};  // unused extents stay 0, so == compares all
  int rank_ = 0;
};

}  // namespace exciton
