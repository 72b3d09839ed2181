#include "exciton/interop/layout.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "exciton/core/error.hpp"
#include "exciton/interop/elements.hpp"
#include "exciton/nn/attention.hpp"

namespace exciton::interop {
namespace {

/// Walks the network and notes what there is.
class Collector final : public nn::Visitor {
 public:
  Collector(const nn::Module& net, const Naming& naming)
      : naming_(naming), vgg_(net.kind() == "Vgg16") {}
  Layout layout;

 private:
  void enter(const std::string&, nn::Module& m) override {
    inside_gates_ += dynamic_cast<nn::ChannelAttention*>(&m) ? 1 : 0;
  }
  void leave(const std::string&, nn::Module& m) override {
    inside_gates_ -= dynamic_cast<nn::ChannelAttention*>(&m) ? 1 : 0;
  }
  void parameter(const std::string& name, Parameter& p) override { add(name, p.mutable_value()); }
  void buffer(const std::string& name, Tensor& t) override {
    if (t.dtype() == DType::i64) return;  // the state of a random stream
    add(name, t);
    if (naming_.convolution_biases && name.ends_with(".bn.running_mean")) {
      std::string bias =
          name.substr(0, name.size() - std::string_view("bn.running_mean").size()) + "conv.bias";
      layout.biases.push_back({naming_.rename(bias), &t});
    }
  }
  void add(const std::string& name, Tensor& t) {
    check(t.dtype() == DType::f32, "weights: ", name, " is ", t.dtype(), ", f32 is exchanged");
    Item item{name, naming_.rename(name), {t.shape().begin(), t.shape().end()}, Form::same, &t};
    const bool matrix = t.rank() == 2;
    if (matrix && inside_gates_ > 0 && naming_.gates_as_convolutions)
      item.shape.insert(item.shape.end(), 2, 1);
    if (naming_.flipped_input && layout.items.empty()) item.form = Form::flipped_input;
    if (vgg_ && name == "classifier.0.weight") {
      item.form = Form::rows_chw;
      if (naming_.dense_as_convolutions) {
        const auto side = static_cast<std::int64_t>(
            std::llround(std::sqrt(static_cast<double>(t.dim(1) / vgg_channels))));
        item.shape = {t.dim(0), vgg_channels, side, side};
      }
    } else if (vgg_ && name == "classifier.3.weight" && naming_.dense_as_convolutions) {
      item.shape.insert(item.shape.end(), 2, 1);
    }
    layout.items.push_back(std::move(item));
  }

 public:
  static constexpr std::int64_t vgg_channels = 512;

 private:
  const Naming& naming_;
  const bool vgg_;  ///< whose dense layers others keep in another order, or as convolutions
  int inside_gates_ = 0;
};

/// Where element `e` of theirs is here.
std::int64_t place(const Item& item, std::int64_t e) {
  switch (item.form) {
    case Form::same:
      return e;
    case Form::flipped_input: {
      const std::int64_t pixels = item.shape[2] * item.shape[3], channels = item.shape[1];
      const std::int64_t pixel = e % pixels, channel = e / pixels % channels,
                         out = e / (pixels * channels);
      return (out * channels + channels - 1 - channel) * pixels + pixel;
    }
    case Form::rows_chw: {
      const std::int64_t row = item.tensor->dim(1), pixels = row / Collector::vgg_channels;
      const std::int64_t out = e / row, channel = e % row / pixels, pixel = e % pixels;
      return out * row + pixel * Collector::vgg_channels + channel;
    }
  }
  return e;
}

/// Extents of one at the end do not count: [O, I] is [O, I, 1, 1].
bool same_shape(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  const auto cut = [](std::span<const std::int64_t> s) {
    while (s.size() > 2 && s.back() == 1) s = s.first(s.size() - 1);
    return s;
  };
  return std::ranges::equal(cut(a), cut(b));
}

bool fits(const Item& item, std::span<const std::int64_t> shape) {
  if (item.form == Form::rows_chw && shape.size() == 4)  // dense there, or as convolutions
    return shape[0] == item.tensor->dim(0) && shape[1] == Collector::vgg_channels &&
           shape[2] == shape[3] && shape[2] * shape[3] * shape[1] == item.tensor->dim(1);
  if (item.form == Form::rows_chw && shape.size() == 2)
    return shape[0] == item.tensor->dim(0) && shape[1] == item.tensor->dim(1);
  return same_shape(item.shape, shape);
}

std::string listed(const std::vector<std::string>& names, const char* what) {
  if (names.empty()) return "";
  std::string out = std::to_string(names.size()) + ' ' + what + " (";
  for (std::size_t i = 0; i < names.size() && i < 4; ++i)
    out += (i > 0 ? ", " : "") + shortened(names[i], 100);
  return out + (names.size() > 4 ? ", ..." : "") + ")";
}

std::unordered_map<std::string, std::size_t> by_name(const CleanNames& names) {
  std::unordered_map<std::string, std::size_t> out;
  for (std::size_t i = 0; i < names.names.size(); ++i)
    if (!names.names[i].empty()) out[names.names[i]] = i;
  return out;
}

}  // namespace

Layout layout_of(nn::Module& net, const Naming& naming) {
  Collector collector(net, naming);
  collector.walk(net);
  std::map<std::string, std::string> ours;
  for (const Item& item : collector.layout.items) {
    const auto [other, added] = ours.emplace(item.theirs, item.ours);
    check(added, "weights: ", item.ours, " and ", other->second, " are both called ", item.theirs,
          " there");
  }
  return std::move(collector.layout);
}

CleanNames clean_names(const WeightFile& file) {
  CleanNames out;
  for (const StoredTensor& t : file.tensors) {
    const bool counter =
        t.name == "num_batches_tracked" || t.name.ends_with(".num_batches_tracked");
    out.counters += counter;
    // An empty name stands for a counter from here on; a file may have one, too.
    out.names.push_back(counter ? "" : t.name.empty() ? "(no name)" : t.name);
  }
  // Wrappers put one word before all names, and several of them may have been at work.
  const auto strip = [&](std::string_view prefix) {
    const auto has = [&](const std::string& name) {
      return name.empty() || (name.starts_with(prefix) && name.size() > prefix.size());
    };
    if (out.counters == std::ssize(out.names) || !std::ranges::all_of(out.names, has)) return false;
    for (std::string& name : out.names)
      if (!name.empty()) name.erase(0, prefix.size());
    out.prefix += prefix;
    return true;
  };
  static constexpr std::string_view prefixes[] = {"module.", "_orig_mod.", "model.", "net.",
                                                  "backbone."};
  while (std::ranges::any_of(prefixes, strip)) {
  }
  return out;
}

std::string Fit::text() const {
  std::string out;
  for (const std::string& part :
       {listed(missing, "are missing"), listed(left_over, "are left over"),
        listed(reshaped, "have another shape")})
    if (!part.empty()) out += (out.empty() ? "" : "; ") + part;
  return out;
}

Fit fit(const Layout& layout, const WeightFile& file, const CleanNames& names) {
  Fit out;
  auto there = by_name(names);
  const auto take = [&](const std::string& name, const auto& right, const std::string& expected) {
    const auto found = there.find(name);
    if (found == there.end()) {
      out.missing.push_back(name);
      return;
    }
    const std::vector<std::int64_t>& shape = file.tensors[found->second].shape;
    if (!right(shape))
      out.reshaped.push_back(name + ": " + shape_text(shape) + ", expected " + expected);
    there.erase(found);
  };
  for (const Item& item : layout.items)
    take(
        item.theirs, [&](const auto& shape) { return fits(item, shape); }, shape_text(item.shape));
  for (const AbsorbedBias& bias : layout.biases) {
    const std::vector<std::int64_t> shape(bias.running_mean->shape().begin(),
                                          bias.running_mean->shape().end());
    take(
        bias.theirs, [&](const auto& s) { return s == shape; }, shape_text(shape));
  }
  for (const std::string& name : names.names)
    if (there.contains(name)) out.left_over.push_back(name);
  return out;
}

void load(const Layout& layout, const WeightFile& file, const CleanNames& names) {
  const std::string who = "weights: " + file.path.string() + ": ";
  const Fit how = fit(layout, file, names);
  check(how.complete(), who, how.text());
  struct Target {
    const Item* item = nullptr;
    std::vector<float>* bias = nullptr;
  };
  std::vector<Target> targets(file.tensors.size());
  std::vector<bool> wanted(file.tensors.size());
  std::vector<std::vector<float>> biases(layout.biases.size());
  const auto there = by_name(names);
  for (const Item& item : layout.items) {
    targets[there.at(item.theirs)] = {&item, nullptr};
    wanted[there.at(item.theirs)] = true;
  }
  for (std::size_t i = 0; i < biases.size(); ++i) {
    targets[there.at(layout.biases[i].theirs)] = {nullptr, &biases[i]};
    wanted[there.at(layout.biases[i].theirs)] = true;
  }
  file.read(wanted, [&](std::size_t number, std::int64_t first, std::span<const float> values) {
    const auto& [item, bias] = targets[number];
    const std::string& name = file.tensors[number].name;
    const bool variance = name.ends_with("running_var");
    for (const float value : values)
      check(std::isfinite(value) && (!variance || value >= 0), who, shortened(name, 100),
            ": holds ", value, variance ? ", no variance" : ", no number to go on with");
    if (bias) {
      bias->insert(bias->end(), values.begin(), values.end());
    } else if (item->form == Form::same) {
      std::ranges::copy(values, item->tensor->data<float>() + first);
    } else {
      float* to = item->tensor->data<float>();
      for (std::size_t i = 0; i < values.size(); ++i)
        to[place(*item, first + static_cast<std::int64_t>(i))] = values[i];
    }
  });
  for (std::size_t i = 0; i < biases.size(); ++i)
    for (std::size_t c = 0; c < biases[i].size(); ++c)
      layout.biases[i].running_mean->data<float>()[c] -= biases[i][c];
}

void write_values(const Item& item, const std::function<void(std::span<const float>)>& put) {
  const auto values = static_cast<const Tensor&>(*item.tensor).span<float>();
  if (item.form == Form::same) return put(values);
  std::vector<float> piece;
  for (std::int64_t e = 0; e < std::ssize(values); ++e) {
    piece.push_back(values[static_cast<std::size_t>(place(item, e))]);
    if (std::ssize(piece) == piece_elements || e + 1 == std::ssize(values)) {
      put(piece);
      piece.clear();
    }
  }
}

}  // namespace exciton::interop
