/// IDX files of MNIST, plain or gzip. Two bytes say how many of the rest are the image file; what
/// follows is the label file.
#include <algorithm>

#include "exciton/data/formats.hpp"
#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  if (size < 2) return 0;
  static const fuzz::Folder folder;
  const fuzz::Bytes rest(data + 2, size - 2);
  const std::size_t images = std::min<std::size_t>(rest.size(), data[0] << 8 | data[1]);
  folder.write("train-images-idx3-ubyte", rest.first(images));
  folder.write("train-labels-idx1-ubyte", rest.subspan(images));
  fuzz::expect_at_most_an_error([&] {
    const auto set = data::open_idx("mnist", folder.path(), "train");
    data::Image image;
    for (std::int64_t i = 0; i < set->size(); ++i) set->read(i, image);
  });
  fuzz::expect_at_most_an_error([&] { data::idx_kind(folder.path()); });
  return 0;
}
