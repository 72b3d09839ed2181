#include <cstdio>
#include <exciton/core/tape.hpp>
#include <exciton/core/threads.hpp>
#include <exciton/optim/sgd.hpp>
#include <vector>

#include "core/error.hpp"
#include "nn/module.hpp"

int main() try {
  exciton::check(own_error == 7 && own_module == 8, "another header came");
  exciton::Parameter weight(exciton::Tensor::full({4}, 1));
  weight.grad = exciton::Tensor::full({4}, 0.5);
  exciton::optim::Sgd sgd({{"weight", &weight}},
                          {.momentum = 0, .nesterov = false, .weight_decay = 0});
  sgd.step(1);
  exciton::check(weight.value().at(3) == 0.5, "a step of SGD is wrong");
} catch (const std::exception& error) {
  std::fprintf(stderr, "stranger: %s\n", error.what());
  return 1;
}
