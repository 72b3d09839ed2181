#include "exciton/interop/onnx/record.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

#include "exciton/core/error.hpp"
#include "exciton/core/operator_node.hpp"
#include "exciton/core/tape_observer.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/batch_norm.hpp"
#include "exciton/ops/cast.hpp"
#include "exciton/ops/channel_shuffle.hpp"
#include "exciton/ops/concat.hpp"
#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/dropout.hpp"
#include "exciton/ops/linear.hpp"
#include "exciton/ops/mul.hpp"
#include "exciton/ops/pooling.hpp"
#include "exciton/ops/reshape.hpp"
#include "exciton/ops/se/channel_conv.hpp"
#include "exciton/ops/se/excite.hpp"
#include "exciton/ops/se/scale.hpp"
#include "exciton/ops/se/squeeze.hpp"
#include "exciton/ops/shake_shake.hpp"
#include "exciton/ops/shortcut_pad.hpp"
#include "exciton/ops/slice_channels.hpp"
#include "exciton/ops/smooth_activations.hpp"
#include "exciton/ops/times.hpp"

namespace exciton::interop::onnx {
namespace {

using Ints = std::vector<std::int64_t>;

Ints ints(const Shape& shape) { return {shape.begin(), shape.end()}; }

std::int64_t total(const Ints& shape) { return elements_of(shape, "onnx"); }

/// Values by the memory they lie in: nothing of a pass is kept, and memory that is used again holds
/// another value then.
class Recorder final : public TapeObserver {
 public:
  Recorder(Model& model, const Layout& layout) : model_(model) {
    for (const Item& item : layout.items) items_[item.tensor->raw()] = &item;
  }

  void begin(const Tensor& images) { values_[images.raw()] = model_.input; }
  void rename(const Tensor& value, std::string name) { values_[value.raw()] = std::move(name); }
  std::string name_of(const Tensor& value) const {
    const auto found = values_.find(value.raw());
    check(found != values_.end(), "onnx: a value comes from nowhere");
    return found->second;
  }

  /// Its name as [N, C], whichever form it has.
  std::string flat(const Tensor& value) {
    const std::string name = name_of(value);
    return squeezed_.contains(name) ? emit("Flatten", {name}, {{"axis", std::int64_t{1}}}) : name;
  }

  void recorded(const OperatorNode& op, std::span<const Var> inputs, const Var& output) override {
    output_ = &output.value();
    const bool known = take<ops::Conv2d>(op, inputs) || take<ops::BatchNorm>(op, inputs) ||
                       take<ops::Relu>(op, inputs) || take<ops::Sigmoid>(op, inputs) ||
                       take<ops::Tanh>(op, inputs) || take<ops::HardSigmoid>(op, inputs) ||
                       take<ops::Squeeze>(op, inputs) || take<ops::Excite>(op, inputs) ||
                       take<ops::Scale>(op, inputs) || take<ops::ChannelConv>(op, inputs) ||
                       take<ops::Linear>(op, inputs) || take<ops::GlobalAvgPool>(op, inputs) ||
                       take<ops::MaxPool>(op, inputs) || take<ops::AvgPool>(op, inputs) ||
                       take<ops::Add>(op, inputs) || take<ops::Mul>(op, inputs) ||
                       take<ops::Concat>(op, inputs) || take<ops::SliceChannels>(op, inputs) ||
                       take<ops::ChannelShuffle>(op, inputs) ||
                       take<ops::ShortcutPad>(op, inputs) || take<ops::ShakeShake>(op, inputs) ||
                       take<ops::Dropout>(op, inputs) || take<ops::Cast>(op, inputs) ||
                       take<ops::Reshape>(op, inputs) || take<ops::Gelu>(op, inputs) ||
                       take<ops::Silu>(op, inputs) || take<ops::Times>(op, inputs);
    check(known, "export: the operator ", op.name(),
          " has no form in ONNX; only those of the library do");
  }

  /// A constant of ours under that name.
  std::string constant(const std::string& name, Ints shape, std::vector<float> values) {
    if (constants_.insert(name).second)
      model_.initializers.push_back({name,
                                     std::move(shape),
                                     [values = std::move(values)](const auto& put) { put(values); },
                                     {}});
    return name;
  }
  std::string emit(const std::string& type, std::vector<std::string> inputs,
                   std::map<std::string, Attribute> attributes = {}) {
    std::string out = type + '_' + std::to_string(model_.nodes.size());
    model_.nodes.push_back({type, std::move(inputs), {out}, std::move(attributes)});
    return out;
  }

 private:
  using Inputs = std::span<const Var>;

  template <class Op>
  bool take(const OperatorNode& op, Inputs in) {
    const auto* node = dynamic_cast<const NodeOf<Op>*>(&op);
    if (node) on(node->op, in);
    return node != nullptr;
  }

  std::string integers(const std::string& what, const Ints& values) {
    const std::string name = what + '_' + std::to_string(model_.nodes.size());
    model_.initializers.push_back({name, {std::ssize(values)}, {}, values});
    return name;
  }
  /// What an operator reads of the pass.
  std::string read(const Var& v) {
    const auto found = values_.find(v.value().raw());
    return found != values_.end() ? found->second : weight(v);
  }
  /// A weight, in this shape. What is none of the network's own is a constant that was made for the
  /// moment, maybe in memory that held a value of the pass.
  std::string weight(const Var& v, const Ints& shape = {}) {
    const Tensor& t = v.value();
    const Ints as = shape.empty() ? ints(t.shape()) : shape;
    const auto item = items_.find(t.raw());
    if (item == items_.end()) {
      const std::string name = "constant_" + std::to_string(model_.initializers.size());
      const Tensor f32 = t.to(DType::f32);
      return constant(name, as, {f32.span<float>().begin(), f32.span<float>().end()});
    }
    const Item& own = *item->second;
    if (constants_.insert(own.theirs).second)
      model_.initializers.push_back(
          {own.theirs, as, [&own](const auto& put) { write_values(own, put); }, {}});
    return own.theirs;
  }
  void optional(std::vector<std::string>& to, const Var& v) {
    if (!v.empty()) to.push_back(weight(v));
  }
  void result(std::string name, bool squeezed = false) {
    if (squeezed) squeezed_.insert(name);
    values_[output_->raw()] = std::move(name);
  }
  bool squeezed(const Var& v) const {
    const auto found = values_.find(v.value().raw());
    return found != values_.end() && squeezed_.contains(found->second);
  }
  void unary(const std::string& type, Inputs in, std::map<std::string, Attribute> attributes = {}) {
    const bool small = squeezed(in[0]);
    result(emit(type, {read(in[0])}, std::move(attributes)), small);
  }

  void on(const ops::Conv2d& op, Inputs in) {
    const Shape& w = in[1].shape();
    std::vector<std::string> inputs{read(in[0]), weight(in[1], ints(w))};
    optional(inputs, in[2]);
    const ops::ConvSpec& s = op.spec;
    result(emit("Conv", inputs,
                {{"kernel_shape", Ints{w[2], w[3]}},
                 {"strides", Ints{s.stride, s.stride}},
                 {"pads", Ints{s.padding, s.row_padding(), s.padding, s.row_padding()}},
                 {"dilations", Ints{s.dilation, s.dilation}},
                 {"group", s.groups}}));
  }
  void on(const ops::BatchNorm& op, Inputs in) {
    check(!op.spec.training && op.spec.running, "onnx: a batch norm in training");
    result(emit("BatchNormalization",
                {read(in[0]), weight(in[1]), weight(in[2]), weight(Var(op.spec.running->mean)),
                 weight(Var(op.spec.running->var))},
                {{"epsilon", static_cast<float>(op.spec.eps)}}));
  }
  void on(const ops::Relu&, Inputs in) { unary("Relu", in); }
  void on(const ops::Sigmoid&, Inputs in) { unary("Sigmoid", in); }
  void on(const ops::Tanh&, Inputs in) { unary("Tanh", in); }
  void on(const ops::HardSigmoid&, Inputs in) { unary("HardSigmoid", in, hard_sigmoid()); }
  /// x (erf(x / sqrt 2) + 1) / 2: operator set 17 has no Gelu.
  void on(const ops::Gelu&, Inputs in) {
    const bool small = squeezed(in[0]);
    const std::string x = read(in[0]);
    const std::string erf =
        emit("Erf", {emit("Mul", {x, constant("sqrt_half", {1}, {0.70710678F})})});
    const std::string twice = emit("Mul", {x, emit("Add", {erf, constant("one", {1}, {1.F})})});
    result(emit("Mul", {twice, constant("half", {1}, {0.5F})}), small);
  }
  void on(const ops::Silu&, Inputs in) {
    const bool small = squeezed(in[0]);
    const std::string x = read(in[0]);
    result(emit("Mul", {x, emit("Sigmoid", {x})}), small);
  }
  void on(const ops::Times& op, Inputs in) {
    const bool small = squeezed(in[0]);
    const std::string name = "factor_" + std::to_string(model_.nodes.size());
    result(emit("Mul", {read(in[0]), constant(name, {1}, {static_cast<float>(op.factor)})}), small);
  }
  static std::map<std::string, Attribute> hard_sigmoid() {
    return {{"alpha", 1.f / 6}, {"beta", 0.5f}};
  }

  void on(const ops::Squeeze& op, Inputs in) {
    result(emit(op.kind == ops::SqueezeKind::max ? "GlobalMaxPool" : "GlobalAveragePool",
                {read(in[0])}),
           true);
  }
  /// A layer on a squeezed map: a convolution of 1x1.
  std::string dense(const std::string& x, const Var& w, const Var& bias) {
    std::vector<std::string> inputs{x, weight(w, {w.shape()[0], w.shape()[1], 1, 1})};
    optional(inputs, bias);
    return emit("Conv", inputs, {{"kernel_shape", Ints{1, 1}}});
  }
  void on(const ops::Excite& op, Inputs in) {
    const std::string hidden = emit("Relu", {dense(read(in[0]), in[1], in[2])}),
                      u = dense(hidden, in[3], in[4]);
    switch (op.gate) {
      case ops::GateKind::sigmoid:
        return result(emit("Sigmoid", {u}), true);
      case ops::GateKind::tanh:
        return result(emit("Tanh", {u}), true);
      case ops::GateKind::relu:
        return result(emit("Relu", {u}), true);
      case ops::GateKind::hard_sigmoid:
        return result(emit("HardSigmoid", {u}, hard_sigmoid()), true);
    }
  }
  void on(const ops::Scale&, Inputs in) { result(emit("Mul", {read(in[0]), read(in[1])})); }
  void on(const ops::ChannelConv&, Inputs in) {
    const std::int64_t k = in[1].shape()[0];
    const std::string row = emit("Reshape", {read(in[0]), integers("row", {0, 1, -1})});
    const std::string y = emit("Conv", {row, weight(in[1], {1, 1, k})},
                               {{"kernel_shape", Ints{k}}, {"pads", Ints{k / 2, k / 2}}});
    result(emit("Reshape", {y, integers("map", {0, -1, 1, 1})}), true);
  }
  void on(const ops::Linear&, Inputs in) {
    if (squeezed(in[0])) return result(dense(read(in[0]), in[1], in[2]), true);
    std::vector<std::string> inputs{read(in[0]), weight(in[1])};
    optional(inputs, in[2]);
    result(emit("Gemm", inputs, {{"transB", std::int64_t{1}}}));
  }
  void on(const ops::GlobalAvgPool&, Inputs in) {
    result(
        emit("Flatten", {emit("GlobalAveragePool", {read(in[0])})}, {{"axis", std::int64_t{1}}}));
  }
  void pool(const std::string& type, const ops::PoolSpec& s, const Var& x,
            std::map<std::string, Attribute> more) {
    more["kernel_shape"] = Ints{s.kernel, s.kernel};
    more["strides"] = Ints{s.stride, s.stride};
    more["pads"] = Ints(4, s.padding);
    more["ceil_mode"] = std::int64_t{s.ceil_mode};
    result(emit(type, {read(x)}, std::move(more)));
  }
  void on(const ops::MaxPool& op, Inputs in) { pool("MaxPool", op.spec, in[0], {}); }
  void on(const ops::AvgPool& op, Inputs in) {
    pool("AveragePool", op.spec, in[0],
         {{"count_include_pad", std::int64_t{op.spec.count_include_pad}}});
  }
  void on(const ops::Add&, Inputs in) {
    result(emit("Add", {read(in[0]), read(in[1])}), squeezed(in[0]));
  }
  void on(const ops::Mul&, Inputs in) {
    result(emit("Mul", {read(in[0]), read(in[1])}), squeezed(in[0]));
  }
  void on(const ops::Concat&, Inputs in) {
    std::vector<std::string> inputs;
    for (const Var& v : in) inputs.push_back(read(v));
    result(emit("Concat", inputs, {{"axis", std::int64_t{1}}}));
  }
  void on(const ops::SliceChannels& op, Inputs in) {
    result(emit("Slice", {read(in[0]), integers("starts", {op.begin}),
                          integers("ends", {op.begin + op.count}), integers("axes", {1})}));
  }
  void on(const ops::ChannelShuffle& op, Inputs in) {
    const std::int64_t channels = in[0].dim(-1), each = channels / op.groups;
    Ints places;
    for (std::int64_t k = 0; k < each; ++k)
      for (std::int64_t g = 0; g < op.groups; ++g) places.push_back(g * each + k);
    result(
        emit("Gather", {read(in[0]), integers("channels", places)}, {{"axis", std::int64_t{1}}}));
  }
  void on(const ops::ShortcutPad& op, Inputs in) {
    std::string x = read(in[0]);
    const auto padded = [&](const Ints& pads) { x = emit("Pad", {x, integers("pads", pads)}); };
    if (op.shift > 0) padded({0, 0, op.shift, op.shift, 0, 0, 0, 0});
    if (op.stride > 1 || op.shift > 0)
      x = emit("Slice",
               {x, integers("starts", {0, 0}), integers("ends", {in[0].dim(1), in[0].dim(2)}),
                integers("axes", {2, 3}), integers("steps", {op.stride, op.stride})});
    const std::int64_t more = op.channels - in[0].dim(3), front = more / 2;
    if (more > 0) padded({0, front, 0, 0, 0, more - front, 0, 0});
    result(x);
  }
  void on(const ops::ShakeShake&, Inputs in) {
    const std::string half = constant("half", {1}, {0.5f});
    result(emit("Mul", {emit("Add", {read(in[0]), read(in[1])}), half}));
  }
  void on(const ops::Dropout&, Inputs in) { same(in[0]); }
  void on(const ops::Cast&, Inputs in) { same(in[0]); }
  void same(const Var& v) {
    const bool small = squeezed(v);
    result(read(v), small);
  }
  void on(const ops::Reshape&, Inputs in) {
    if (items_.contains(in[0].value().raw())) return;  // a weight that is read in another shape
    check(in[0].shape().rank() == 4 && output_->rank() == 2, "onnx: reshape of ", in[0].shape(),
          " to ", output_->shape());
    result(emit("Flatten", {read(in[0])}, {{"axis", std::int64_t{1}}}));
  }

  Model& model_;
  std::unordered_map<const void*, const Item*> items_;
  std::unordered_map<const void*, std::string> values_;
  std::set<std::string> squeezed_;   ///< values [N, C, 1, 1] that are [N, C] here
  std::set<std::string> constants_;  ///< that are there already
  const Tensor* output_ = nullptr;
};

/// Nothing is trained: so a tape keeps nothing, and only tells.
class NothingTrains final : public nn::Visitor {
 public:
  explicit NothingTrains(nn::Module& net) { walk(net); }
  ~NothingTrains() override {
    for (Parameter* p : were_) p->trainable = true;
  }

 private:
  void parameter(const std::string&, Parameter& p) override {
    if (p.trainable) were_.push_back(&p);
    p.trainable = false;
  }
  std::vector<Parameter*> were_;
};

std::vector<float> values_of(const Initializer& from) {
  std::vector<float> out;
  from.values(
      [&](std::span<const float> values) { out.insert(out.end(), values.begin(), values.end()); });
  return out;
}

/// Conv - BatchNormalization, nobody else reading what is between: weights w' = w f and bias
/// b' = beta + (b - mean) f with f = gamma / sqrt(var + epsilon), one a channel.
void fold(Model& model) {
  std::map<std::string, int> readers;
  std::map<std::string, std::size_t> makers, constants;
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    for (const std::string& name : model.nodes[i].inputs) ++readers[name];
    makers[model.nodes[i].outputs[0]] = i;
  }
  for (std::size_t i = 0; i < model.initializers.size(); ++i)
    constants[model.initializers[i].name] = i;
  std::set<std::string> gone;
  for (Node& norm : model.nodes) {
    if (norm.type != "BatchNormalization" || !makers.contains(norm.inputs[0]) ||
        readers[norm.inputs[0]] != 1)
      continue;
    Node& conv = model.nodes[makers.at(norm.inputs[0])];
    if (conv.type != "Conv" || readers[conv.inputs[1]] != 1) continue;
    const auto small = [&](std::size_t input) {
      return values_of(model.initializers[constants.at(norm.inputs[input])]);
    };
    const std::vector<float> gamma = small(1), beta = small(2), mean = small(3), var = small(4);
    const double epsilon = static_cast<double>(std::get<float>(norm.attributes.at("epsilon")));
    std::vector<float> own(gamma.size()), factor(gamma.size()), bias(gamma.size());
    if (conv.inputs.size() > 2) own = values_of(model.initializers[constants.at(conv.inputs[2])]);
    for (std::size_t c = 0; c < gamma.size(); ++c) {
      const double f =
          static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(var[c]) + epsilon);
      factor[c] = static_cast<float>(f);
      bias[c] =
          static_cast<float>(static_cast<double>(beta[c]) +
                             (static_cast<double>(own[c]) - static_cast<double>(mean[c])) * f);
    }
    Initializer& weight = model.initializers[constants.at(conv.inputs[1])];
    const std::int64_t each = total(weight.shape) / weight.shape[0];
    weight.values = [values = weight.values, factor, each](const auto& put) {
      std::int64_t at = 0;
      std::vector<float> scaled;
      values([&](std::span<const float> piece) {
        scaled.assign(piece.begin(), piece.end());
        for (float& v : scaled) v *= factor[static_cast<std::size_t>(at++ / each)];
        put(std::span<const float>(scaled));
      });
    };
    const std::string name = conv.inputs[1] + ".folded_bias";
    for (std::size_t i = 1; i < 5; ++i) gone.insert(norm.inputs[i]);
    if (conv.inputs.size() > 2) gone.insert(conv.inputs[2]);
    conv.inputs.resize(2);
    conv.inputs.push_back(name);
    constants[name] = model.initializers.size();
    model.initializers.push_back(
        {name, {std::ssize(bias)}, [bias](const auto& put) { put(bias); }, {}});
    conv.outputs = norm.outputs;
    norm.type.clear();
  }
  std::erase_if(model.nodes, [](const Node& n) { return n.type.empty(); });
  std::erase_if(model.initializers, [&](const Initializer& i) { return gone.contains(i.name); });
}

}  // namespace

Model record(nn::Module& net, const Layout& layout, const RecordOptions& options) {
  Model model;
  model.input_shape = {options.channels, options.height, options.width};
  nn::set_training(net, false);
  nn::set_fused(net, false);
  nn::keep_packed_weights(net, false);
  const NothingTrains frozen(net);
  Recorder recorder(model, layout);
  const Tensor images = Tensor::zeros({1, options.height, options.width, options.channels});
  recorder.begin(images);
  if (!options.mean.empty()) {
    std::vector<float> factor, shift;
    for (std::size_t c = 0; c < options.mean.size(); ++c) {
      factor.push_back(static_cast<float>(1 / (255 * options.std[c])));
      shift.push_back(static_cast<float>(-options.mean[c] / options.std[c]));
    }
    const Ints shape{1, options.channels, 1, 1};
    const std::string scaled =
        recorder.emit("Mul", {model.input, recorder.constant("pixel_scale", shape, factor)});
    recorder.rename(images,
                    recorder.emit("Add", {scaled, recorder.constant("pixel_shift", shape, shift)}));
  }
  Tensor logits;
  {
    Tape tape(&recorder);
    logits = net(Var(images)).value();
  }
  model.output_shape = {logits.dim(-1)};
  const std::string last = recorder.flat(logits);
  for (Node& node : model.nodes) {
    std::ranges::replace(node.inputs, last, model.output);
    std::ranges::replace(node.outputs, last, model.output);
  }
  if (options.fold) fold(model);
  return model;
}

}  // namespace exciton::interop::onnx
