/// COCO's annotations: what is accepted has its objects within bounds.
#include "exciton/data/detection/coco.hpp"

#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  fuzz::expect_at_most_an_error([&] {
    const auto got = data::parse_coco({reinterpret_cast<const char*>(data), size}, "fuzz");
    for (const data::CocoImage& image : got.images)
      for (const data::CocoObject& object : image.objects) {
        const data::Box box = data::inside(object.box, image.size);
        const bool within =
            box.width >= 0 && box.height >= 0 &&
            (box.width == 0 ||
             (box.left >= 0 && box.top >= 0 &&
              box.left + box.width <= static_cast<double>(image.size.width) + 1e-6 &&
              box.top + box.height <= static_cast<double>(image.size.height) + 1e-6));
        if (!within || object.category < 0 || object.category >= std::ssize(got.categories))
          __builtin_trap();
      }
  });
  return 0;
}
