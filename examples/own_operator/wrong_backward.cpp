/// What the gradient check says when a backward is wrong: here the term x (1 - s) was forgotten.
/// Fails (exit status 1) if the mistake goes unnoticed.
#include <cstdio>

#include "swish.hpp"

namespace {

struct ForgetfulSwish : Swish {
  static constexpr std::string_view name = "forgetful_swish";
  exciton::Grads<1> backward(Saved& saved, exciton::Tensor dy, exciton::Needs<1>) const {
    const auto slope = [](auto d, auto v) { return d * sigmoid(v); };
    return {exciton::ops::map_gradient(name, slope, dy, saved.x)};
  }
};

}  // namespace

int main() {
  for (const auto& example : Swish::examples()) {
    const auto result = exciton::gradcheck(exciton::Example<ForgetfulSwish>{{}, example.inputs});
    std::printf("%s\n", result.ok ? "unnoticed!" : result.message.c_str());
    if (result.ok) return 1;
  }
}
