/// A recipe: what is accepted writes itself so that it is read back the same.
#include "train/recipe.hpp"

#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  fuzz::expect_at_most_an_error([&] {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const train::Json json = train::parse_json(text, "fuzz");
    const train::Json written = train::Recipe::from_json(json).to_json();
    if (train::Recipe::from_json(written).to_json() != written) __builtin_trap();
  });
  return 0;
}
