#include "exciton/interop/weight_file.hpp"

#include <algorithm>
#include <array>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/interop/containers.hpp"

namespace exciton::interop {

std::unique_ptr<WeightFile> open_weights(const std::filesystem::path& path,
                                         const OpenOptions& options) {
  const std::string who = "weights: " + path.string();
  std::array<char, 264> head{};
  std::uint64_t size = 0;
  {
    const File file(path, File::Mode::read, "weights");
    size = file.bytes();
    file.read(0, head.data(), static_cast<std::size_t>(std::min<std::uint64_t>(size, head.size())));
  }
  const std::string_view begin(
      head.data(), static_cast<std::size_t>(std::min<std::uint64_t>(size, head.size())));
  const auto no_key = [&] {
    check(options.key.empty(), who,
          ": a key is for PyTorch files, which hold several dictionaries");
  };
  check(!begin.empty(), who, ": is empty");
  if (begin.starts_with("PK\3\4") || begin.starts_with("PK\5\6")) {
    auto zip = std::make_unique<Zip>(path, who);
    const bool arrays = std::ranges::any_of(
        zip->entries(), [](const Zip::Entry& e) { return e.name.ends_with(".npy"); });
    const bool pickle = std::ranges::any_of(zip->entries(), [](const Zip::Entry& e) {
      return e.name == "data.pkl" || e.name.ends_with("/data.pkl");
    });
    if (pickle || !arrays) return open_torch_zip(std::move(zip), options);
    no_key();
    return open_npz(std::move(zip));
  }
  if (is_torch_stream(begin)) return open_torch_stream(path, options);
  if (begin.starts_with("\x93NUMPY")) {
    no_key();
    return open_npy(path);
  }
  if (begin.starts_with("EXCITON\x1a"))
    fail(who,
         ": a checkpoint of Exciton itself; give the run folder or the checkpoint where a run is "
         "expected");
  if (begin.size() > 262 && begin.substr(257, 5) == "ustar")
    fail(who,
         ": a tar archive: PyTorch's oldest format, or none of PyTorch's; load it with a PyTorch "
         "of that time and "
         "save it again, as torch.save(state_dict, \"weights.pth\")");
  // The length of a header of less than 16 MiB, and the brace it begins with.
  const bool safetensors = size >= 10 && begin.substr(3, 5) == std::string_view("\0\0\0\0\0", 5) &&
                           (begin[8] == '{' || begin[8] == ' ');
  if (begin[0] == '\x80' && !safetensors)
    fail(who,
         ": a pickle, but none of torch.save; in Python: torch.save(state_dict, \"weights.pth\")");
  if (begin.starts_with("\x89HDF")) fail(who, ": HDF5 (Keras); convert it to safetensors or .npz");
  // ONNX's first fields: a version, and the name of who wrote it.
  const bool onnx =
      begin.size() > 3 && begin[0] == '\x08' && (begin[2] == '\x12' || begin[2] == '\x1a');
  if (onnx && !safetensors)
    fail(who,
         ": ONNX is written, not read; its names are often lost. Give the .pth or safetensors it "
         "was made from");
  no_key();
  check(size >= 9 && (begin[8] == '{' || begin[8] == ' ' || begin[7] == '\0'), who,
        ": none of safetensors, PyTorch (.pth, .pt, .bin), .npz, .npy");
  return open_safetensors(path);
}

}  // namespace exciton::interop
