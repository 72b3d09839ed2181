/// Trains as a recipe says, and tells what the trained model sees in an image:
///   train_recipe RECIPE RUN IMAGE
#include <cstdio>
#include <exciton/exciton.hpp>

struct Lines : exciton::train::Observer {
  void epoch(const exciton::train::EpochLine& line) override {
    std::printf("epoch %d  loss %.3f  top-1 %.1f %%\n", static_cast<int>(line.epoch),
                line.train_loss, 100 * line.top1);
  }
};

int main(int argc, char** argv) try {
  using namespace exciton;
  check(argc == 4, "expected RECIPE RUN IMAGE");
  Lines lines;
  train::run(train::Recipe::read(argv[1]), {.out = argv[2], .resume = true}, lines);
  const train::TrainedModel trained = train::load(argv[2]);
  for (const train::Prediction& seen : train::predict(trained, argv[3], 2))
    std::printf("%6.2f %%  %s\n", 100 * seen.probability, seen.name.c_str());
} catch (const std::exception& error) {
  std::fprintf(stderr, "train_recipe: %s\n", error.what());
  return 1;
}
