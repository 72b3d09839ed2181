/// The weights of a network under another library's names and in its shapes.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "exciton/interop/weight_file.hpp"
#include "exciton/nn/module.hpp"

namespace exciton::interop {

/// How a tensor lies there, other than here.
enum class Form {
  same,           ///< also where [O, I] is written as [O, I, 1, 1] there
  flipped_input,  ///< [O, I, h, w] with the input channels in reverse: BGR
  rows_chw,       ///< [O, C h w] where it is [O, h w C] here: VGG's first fully connected layer
};

/// One tensor here, and its place there.
struct Item {
  std::string ours, theirs;
  std::vector<std::int64_t> shape;  ///< there
  Form form = Form::same;
  Tensor* tensor = nullptr;  ///< here: f32
};

/// A bias of a convolution that has none here, for a batch norm follows and takes its mean away
/// again: running_mean -= bias, which is exact.
struct AbsorbedBias {
  std::string theirs;
  Tensor* running_mean = nullptr;
};

/// All tensors of a network. It refers to the network's own, which must stay where they are.
struct Layout {
  std::vector<Item> items;
  std::vector<AbsorbedBias> biases;
};

/// What is the same for all weights of a library's network.
struct Naming {
  /// Our name ("stage1.0.conv1.weight") to theirs.
  std::function<std::string(const std::string& ours)> rename;
  bool gates_as_convolutions = false;  ///< layers of SE are [O, I, 1, 1] there
  bool flipped_input = false;          ///< the first convolution reads BGR
  bool convolution_biases = false;  ///< convolutions in units of convolution and norm have biases
  bool dense_as_convolutions = false;  ///< timm's VGG: [4096, 512, 7, 7], [4096, 4096, 1, 1]
};

/// Parameters and running statistics of `net`, under their names. Errors: a network whose weights
/// are not f32; two of its tensors get one name.
Layout layout_of(nn::Module& net, const Naming& naming);

/// The keys of a file without what all of them begin with ("module.", "_orig_mod.", "model.",
/// "net.", "backbone.") and without what counts batches (num_batches_tracked), which have an empty
/// name here.
struct CleanNames {
  std::vector<std::string> names;  ///< one a tensor
  std::string prefix;
  std::int64_t counters = 0;
};
CleanNames clean_names(const WeightFile& file);

/// How a file fits a layout. Names are the file's.
struct Fit {
  std::vector<std::string> missing;    ///< wanted, not there
  std::vector<std::string> left_over;  ///< there, not wanted
  std::vector<std::string> reshaped;   ///< "conv1.weight: [64, 3, 7, 7], expected [16, 3, 3, 3]"
  bool complete() const { return missing.empty() && left_over.empty() && reshaped.empty(); }
  std::size_t faults() const { return missing.size() + left_over.size() + reshaped.size(); }
  /// In words, the first few of each.
  std::string text() const;
};
Fit fit(const Layout& layout, const WeightFile& file, const CleanNames& names);

/// Reads the file into the network. Errors: it does not fit; a value is no finite number, a running
/// variance is negative. What was read so far stays then.
void load(const Layout& layout, const WeightFile& file, const CleanNames& names);

/// Their values, in pieces and in order, from ours; biases that are absorbed here are zero.
void write_values(const Item& item, const std::function<void(std::span<const float>)>& put);

}  // namespace exciton::interop
