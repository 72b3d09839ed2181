/// Python's pickles: as values, and as the python version of CIFAR-10.
#include "exciton/data/pickle.hpp"
#include "exciton/data/formats.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {
using namespace exciton;

/// What readers do with a value that may be anything.
void look_at(const data::PickleValue& value) {
  fuzz::expect_at_most_an_error([&] { data::bytes_in(value, "fuzz"); });
  fuzz::expect_at_most_an_error([&] { data::numpy_array(value, "fuzz"); });
  data::kind_of(value);
  value.find("data");
}
}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  fuzz::expect_at_most_an_error([&] {
    const auto any = [](std::string_view, std::string_view) { return true; };
    const data::Pickle pickle({data, data + size}, "fuzz", any, {.values = 100'000});
    look_at(pickle.root());
    for (const data::PickleValue* item : pickle.root().items) look_at(*item);
  });
  data::CifarFormat format = data::cifar10_format();
  format.python.train_files = {"data_batch_1"};
  folder.write("data_batch_1", {data, size});
  fuzz::expect_at_most_an_error([&] { data::open_cifar(format, folder.path(), "train"); });
  return 0;
}
