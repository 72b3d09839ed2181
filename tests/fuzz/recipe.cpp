/// A recipe: what is accepted writes itself so that it is read back the same.
#include "apps/recipe.hpp"

#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  fuzz::expect_at_most_an_error([&] {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const apps::Json json = apps::parse_json(text, "fuzz");
    const apps::Json written = apps::Recipe::from_json(json).to_json();
    if (apps::Recipe::from_json(written).to_json() != written) __builtin_trap();
  });
  return 0;
}
