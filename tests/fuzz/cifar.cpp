/// The binary format of CIFAR-10 and CIFAR-100; the first byte chooses.
#include "exciton/data/formats.hpp"
#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  if (size == 0) return 0;
  static const fuzz::Folder folder;
  const bool coarse = data[0] & 1;
  data::CifarFormat format = coarse ? data::cifar100_format() : data::cifar10_format();
  const fuzz::Bytes file(data + 1, size - 1);
  format.train_files = {"train.bin"};
  format.train_records = static_cast<std::int64_t>(file.size() / (coarse ? 3074 : 3073));
  folder.write("train.bin", file);
  fuzz::expect_at_most_an_error([&] {
    const auto set = data::open_cifar(format, folder.path(), "train");
    data::Image image;
    for (std::int64_t i = 0; i < set->size(); ++i) set->read(i, image);
  });
  return 0;
}
