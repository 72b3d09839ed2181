/// A recipe: what is accepted writes itself so that it is read back the same.
#include "exciton/train/recipe_json.hpp"

#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  fuzz::expect_at_most_an_error([&] {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const train::Json json = train::parse_json(text, "fuzz");
    const train::Json written = to_json(train::recipe_from(json));
    if (to_json(train::recipe_from(written)) != written) __builtin_trap();
  });
  return 0;
}
