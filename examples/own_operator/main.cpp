/// Checks the gradient of Swish on its own examples, then trains a small network with it.
/// Expected: "swish: gradient agrees ...", then a loss below 0.05.
#include <cstdio>

#include "swish.hpp"

using namespace exciton;

namespace {

/// Swish as a layer without parameters.
class SwishLayer final : public nn::Module {
 public:
  std::string_view kind() const override { return "Swish"; }

 protected:
  Var forward(const Var& x) override { return swish(x); }
};

void check_gradients() {
  for (const Example<Swish>& example : Swish::examples()) {
    const GradcheckResult result = gradcheck(example);
    check(result.ok, result.message);
    std::printf("swish: gradient agrees within %.1e\n", result.worst);
  }
}

/// Exclusive or: no linear model can learn it.
void learn_xor() {
  const Tensor points = Tensor::from({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1});
  const Tensor labels = Tensor::from({4}, {0, 1, 1, 0}, DType::i64);
  Generator init(1);
  nn::Sequential net;
  net.add<nn::Linear>(2, 16, init);
  net.add<SwishLayer>();
  net.add<nn::Linear>(16, 2, init);
  optim::Sgd sgd(nn::parameters(net), {.lr = 0.5, .momentum = 0.9});

  double last = 0;
  for (int step = 0; step < 300; ++step) {
    Tape tape;
    const Var loss = ops::cross_entropy(net(points), labels);
    last = loss.value().item();
    tape.backward(loss);
    sgd.step();
  }
  std::printf("exclusive or after 300 steps: loss %.5f\n", last);
  check(last < 0.05, "own_operator: the network did not learn exclusive or, loss ", last);
}

}  // namespace

int main() {
  try {
    check_gradients();
    learn_xor();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "own_operator: %s\n", error.what());
    return 1;
  }
}
