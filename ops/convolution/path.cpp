#include "exciton/ops/convolution/path.hpp"

#include <cstdlib>
#include <string_view>

#include "exciton/core/error.hpp"

namespace exciton::ops {

ConvPath conv_path() {
  static const ConvPath asked = [] {
    const char* variable = std::getenv("EXCITON_CONV");
    const std::string_view word = variable ? variable : "auto";
    if (word == "direct") return ConvPath::direct;
    if (word == "winograd") return ConvPath::winograd;
    if (word == "own") return ConvPath::own;
    check(word == "auto", "EXCITON_CONV: \"", word, "\" is not one of auto, direct, winograd, own");
    return ConvPath::automatic;
  }();
  return asked;
}

}  // namespace exciton::ops
