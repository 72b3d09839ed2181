/// Your own data and your own loop: train::Loop makes the steps, the rest is yours. Saves the
/// weights, and loads them into another model.
#include <cstdio>
#include <exciton/exciton.hpp>

using namespace exciton;

/// A batch of stripes, horizontal (0) or vertical (1), under noise.
data::Batch stripes(std::int64_t images, Generator& rng) {
  data::Batch batch{.images = Tensor({images, 16, 16, 1}), .labels = Tensor({images}, DType::i64)};
  auto pixel = batch.images.span<float>().begin();
  for (std::int64_t& label : batch.labels.span<std::int64_t>()) {
    label = static_cast<std::int64_t>(rng.below(2));
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 16; ++column)
        *pixel++ = static_cast<float>((label ? column : row) / 2 % 2) +
                   0.01f * static_cast<float>(rng.below(100));
  }
  return batch;
}

double accuracy(nn::Module& net) {
  Generator rng(99);
  const data::Batch test = stripes(200, rng);
  const nn::EvaluationMode mode(net);
  return static_cast<double>(train::count_top1(net(test.images).value(), test.labels)) / 200;
}

int main() try {
  const nn::ModelOptions options{.classes = 2, .image_channels = 1};
  nn::Model model = nn::make_model("se_resnet20", options, /*seed=*/1);
  optim::Sgd sgd(nn::parameters(*model.net), {.momentum = 0.9, .nesterov = true});
  optim::Ema average(nn::parameters(*model.net), nn::buffers(*model.net), {.decay = 0.9});
  constexpr std::int64_t steps = 40;
  train::Loop loop(*model.net, sgd,
                   optim::Schedule({.kind = "cosine", .lr = 0.1, .total_steps = steps}),
                   {.average = &average});
  Generator rng(7);
  while (loop.steps() < steps) {
    const train::StepResult step = loop.step(stripes(32, rng));
    if (loop.steps() % 10 == 0)
      std::printf("step %2d  loss %.4f  lr %.3f\n", static_cast<int>(loop.steps()), step.loss,
                  loop.lr());
  }
  average.swap();  // the averaged weights are the ones to keep

  train::Checkpoint checkpoint;
  train::save_model(*model.net, checkpoint);
  train::write_checkpoint("stripes.ckpt", checkpoint);

  nn::Model again = nn::make_model("se_resnet20", options, /*seed=*/2);
  check(accuracy(*again.net) < 0.9, "it knew before");
  train::load_model(train::read_checkpoint("stripes.ckpt"), *again.net, "stripes.ckpt");
  const double right = accuracy(*again.net);
  std::printf("loaded again: top-1 %.1f %%\n", 100 * right);
  check(right > 0.95 && right == accuracy(*model.net), "the stripes were not learned");
} catch (const std::exception& error) {
  std::fprintf(stderr, "own_loop: %s\n", error.what());
  return 1;
}
