/// Test cases of operators.
#pragma once
#include <vector>

#include "exciton/core/operator.hpp"

namespace exciton {

/// Attributes and input shapes of one test case. Put odd sizes here: H != W, channels that are no
/// multiple of the vector width, one image, one pixel, one hidden unit. Rank-0 shapes with
/// `absent` set stand for optional inputs left out.
template <class Op>
struct Example {
  Op op;
  std::vector<Shape> inputs;
};

/// The shape that stands for an absent optional input in an Example.
inline const Shape absent{0};

}  // namespace exciton
