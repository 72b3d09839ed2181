/// Trains an SE-ResNet-20 with Exciton as a library.
///   train_tiny          for 40 steps on striped images made on the spot
///   train_tiny DIR      for one epoch on the data set in DIR (CIFAR, MNIST, or a folder of images)
/// Expected on stripes: a loss below 0.1 at the end.
#include <cstdio>
#include <exciton/exciton.hpp>

using namespace exciton;

namespace {

/// 640 grey 16x16 images of noise with stripes: class 0 horizontal, class 1 vertical.
std::shared_ptr<const data::Dataset> stripes() {
  data::MemoryDataset::Contents set;
  set.description = "stripes";
  set.height = set.width = 16;
  set.channels = 1;
  set.class_names = {"horizontal", "vertical"};
  Generator rng(7);
  for (int n = 0; n < 640; ++n) {
    const int label = n % 2;
    const auto phase = rng.below(4);
    for (std::uint64_t h = 0; h < 16; ++h)
      for (std::uint64_t w = 0; w < 16; ++w) {
        const bool bright = ((label == 0 ? h : w) + phase) / 2 % 2 == 0;
        set.pixels.push_back(static_cast<std::uint8_t>((bright ? 100 : 0) + rng.below(156)));
      }
    set.labels.push_back(label);
  }
  return std::make_shared<data::MemoryDataset>(std::move(set));
}

/// Returns the loss of the last step.
double train_on(const std::shared_ptr<const data::Dataset>& images) {
  const data::ChannelStats stats = data::channel_stats(*images);
  data::Loader loader(images, {.mean = stats.mean, .std = stats.std}, {.batch = 64});
  nn::Model model = nn::make_model(
      "se_resnet20", {.classes = images->classes(), .image_channels = images->channels()});
  const std::int64_t steps = std::max<std::int64_t>(40, loader.batches());
  const optim::Schedule schedule({.kind = "one_cycle_linear", .lr = 0.1, .total_steps = steps});
  optim::Sgd sgd(nn::parameters(*model.net), {.momentum = 0.9, .nesterov = true});

  double last = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    if (step % loader.batches() == 0) loader.start_epoch(step / loader.batches());
    const data::Batch batch = loader.next().value();

    Tape tape;                                                  // records while in scope
    const Var logits = (*model.net)(batch.images);              // forward
    const Var loss = ops::cross_entropy(logits, batch.labels);  // softmax
    tape.backward(loss);                                        // adds into the gradients
    sgd.step(schedule.lr(step));                                // applies and clears them

    last = loss.value().item();
    if (step % 10 == 0 || step + 1 == steps)
      std::printf("step %3lld  loss %.4f\n", static_cast<long long>(step), last);
  }
  return last;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc > 1) {
      train_on(data::open_dataset("auto", argv[1], "train"));
    } else {
      const double loss = train_on(stripes());
      check(loss < 0.1, "the stripes were not learned, loss ", loss);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_tiny: %s\n", error.what());
    return 1;
  }
}
