/// A tar file in the layout of WebDataset.
#include <vector>

#include "exciton/data/formats.hpp"
#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  static const fuzz::Folder folder;
  folder.write("train.tar", {data, size});
  fuzz::expect_at_most_an_error([&] {
    const auto set = data::open_webdataset(folder.path(), "train");
    std::vector<std::uint8_t> bytes;
    for (std::int64_t i = 0; i < set->size(); ++i) {
      set->fetch(i, bytes);
      if (bytes.size() > size) __builtin_trap();  // from beyond the file
    }
  });
  return 0;
}
