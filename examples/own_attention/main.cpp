/// A program with a unit of its own: own_attention RECIPE RUN trains, loads and looks at the gates.
#include <cstdio>
#include <exciton/exciton.hpp>

extern "C" void exciton_plugin_register(exciton::train::Registries& registries);  // avg_max.cpp

int main(int, char** argv) try {
  using namespace exciton;
  train::Registries all = train::registries();
  exciton_plugin_register(all);
  train::Observer nobody;
  train::run(train::Recipe::read(argv[1]), {.out = argv[2], .resume = true}, nobody);
  train::TrainedModel trained = train::load(argv[2]);
  for (const nn::NamedAttention& unit : nn::attention_units(*trained.model.net))
    std::printf("%s is %s\n", unit.name.c_str(), std::string(unit.unit->kind()).c_str());
} catch (const std::exception& error) {
  std::fprintf(stderr, "own_attention: %s\n", error.what());
  return 1;
}
