/// Files of weights that other programs wrote, whatever their container. docs/weights.md is the
/// manual.
///
/// Nothing in a file is believed and nothing of it is run: sizes, shapes, offsets and names are
/// checked against one another and against the file before memory is taken for them, and a tensor's
/// values are read when somebody has looked at its shape and asks for them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace exciton::interop {

enum class ElementType { boolean, u8, i8, i16, u16, i32, u32, i64, u64, f16, bf16, f32, f64 };

/// Bytes of one element.
std::int64_t size_of(ElementType type);
/// As safetensors writes it: "F32".
std::string_view name_of(ElementType type);
/// The type of a safetensors name. Nothing: none that is read.
std::optional<ElementType> element_type(std::string_view safetensors_name);

/// A tensor as it lies in a file, row-major.
struct StoredTensor {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;
};

/// Elements of a shape. Errors: beginning with `who`, a negative extent, or more than 2^63 - 1.
std::int64_t elements_of(std::span<const std::int64_t> shape, std::string_view who);
/// "[64, 3, 7, 7]"
std::string shape_text(std::span<const std::int64_t> shape);

/// Takes `values`, which are the elements `first`, `first` + 1, ... of tensor number `tensor`,
/// rounded to f32. All elements of a tensor come, in order.
using ValueSink =
    std::function<void(std::size_t tensor, std::int64_t first, std::span<const float> values)>;

/// An opened file. Reading is in pieces, so it takes little memory beside what the sink keeps.
class WeightFile {
 public:
  virtual ~WeightFile() = default;
  WeightFile() = default;
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;

  std::filesystem::path path;
  std::string container;  ///< "safetensors", "PyTorch (zip)", "PyTorch (before 1.6)", "npz"
  std::string key;        ///< the dictionary that was chosen in it; "" where there is only one
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata;  ///< of safetensors
  std::vector<std::string> skipped;             ///< names of entries that are no tensors

  /// Reads the tensors whose number is true in `wanted`, in the order in which they lie in the
  /// file. Errors: the file is cut short, damaged, or has changed.
  virtual void read(const std::vector<bool>& wanted, const ValueSink& sink) const = 0;
};

struct OpenOptions {
  std::string key;  ///< which dictionary of a PyTorch file: "state_dict", "ema.model"; "": find it
};

/// Opens safetensors, PyTorch files (.pth, .pt, .th, .bin, .tar; the zip container and the stream
/// before PyTorch 1.6) and NumPy's .npz and .npy; the first bytes decide, not the name. Errors:
/// anything else, by its name where it is known (TorchScript, quantised and sparse tensors, whole
/// pickled modules, PyTorch's oldest tar, ONNX); damaged files; a PyTorch file with no or several
/// dictionaries of tensors, which lists them.
std::unique_ptr<WeightFile> open_weights(const std::filesystem::path& path,
                                         const OpenOptions& options = {});

}  // namespace exciton::interop
