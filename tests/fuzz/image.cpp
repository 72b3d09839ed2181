/// JPEG and PNG: the header, all pixels, and a part of them.
#include "exciton/data/image.hpp"
#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  const fuzz::Bytes bytes(data, size);
  fuzz::expect_at_most_an_error([&] {
    const data::Size extent = data::read_image_header(bytes, "fuzz").size;
    if (extent.height * extent.width > 1 << 18) return;  // good or bad, it takes too long here
    data::Image image;
    fuzz::expect_at_most_an_error([&] { data::decode_image(bytes, "fuzz", 3, image); });
    fuzz::expect_at_most_an_error([&] { data::decode_image(bytes, "fuzz", 1, image); });
    for (const bool exact : {true, false})
      fuzz::expect_at_most_an_error([&] {
        const auto third = [&](std::int64_t pixels) { return static_cast<double>(pixels) / 3; };
        const data::ViewRequest request = [&](data::Size s) {
          return data::View{
              {third(s.width), third(s.height), third(s.width), third(s.height)}, {5, 7}, exact};
        };
        data::decode_view(bytes, "fuzz", 3, request, image);
      });
  });
  return 0;
}
