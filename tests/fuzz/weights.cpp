/// Files of weights: safetensors, PyTorch's containers, NumPy's, ONNX; the first bytes decide.
#include "exciton/interop/weight_file.hpp"

#include "exciton/interop/layout.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {
using namespace exciton;

/// Reads what is no larger than a small network's.
void read_small(const interop::WeightFile& file) {
  std::vector<bool> wanted;
  for (const interop::StoredTensor& t : file.tensors) {
    bool small = false;
    fuzz::expect_at_most_an_error(
        [&] { small = interop::elements_of(t.shape, "fuzz") <= 1 << 20; });
    wanted.push_back(small);
  }
  file.read(wanted, [](std::size_t, std::int64_t, std::span<const float>) {});
}
}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const auto path = folder.write("weights", {data, size});
  fuzz::expect_at_most_an_error([&] {
    const auto file = interop::open_weights(path);
    interop::clean_names(*file);
    read_small(*file);
  });
  fuzz::expect_at_most_an_error([&] { interop::open_weights(path, {.key = "state_dict"}); });
  return 0;
}
