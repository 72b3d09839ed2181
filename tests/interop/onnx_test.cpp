/// ONNX files: each node of the interpreter against ONNX Runtime, and every network against its
/// file.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "exciton/core/error.hpp"
#include "exciton/core/random.hpp"
#include "exciton/interop/onnx/interpreter.hpp"
#include "exciton/interop/onnx/model.hpp"
#include "exciton/interop/onnx/record.hpp"
#include "exciton/interop/source.hpp"
#include "exciton/nn/registry.hpp"
#include "tests/interop/support.hpp"
#include "tests/temp_dir.hpp"

namespace exciton::interop::onnx::testing {
namespace {

using interop::testing::made;
using test_support::TempDir;
using Ints = std::vector<std::int64_t>;

std::vector<float> some_values(std::int64_t count, std::int64_t key) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<float>(((i + key) * 37 + 11 * key) % 64 - 31) / 16);
  return out;
}

std::int64_t product(const Ints& shape) {
  std::int64_t out = 1;
  for (const std::int64_t extent : shape) out *= extent;
  return out;
}

/// A graph of one node on an input [2, ...], with constants of some_values.
struct NodeCase {
  std::string name, type;
  Ints input, output;  ///< behind N
  std::map<std::string, Attribute> attributes{};
  std::vector<Ints> constants{};  ///< shapes of f32
  std::vector<Ints> integers{};   ///< values of i64 constants, which follow
  bool positive = false;          ///< the last constant is squared, plus a quarter: variances
};

Model model_of(const NodeCase& c) {
  Model m;
  m.input_shape = c.input;
  m.output_shape = c.output;
  Node node{c.type, {"input"}, {"logits"}, c.attributes};
  for (std::size_t i = 0; i < c.constants.size(); ++i) {
    std::vector<float> values =
        some_values(product(c.constants[i]), 3 + static_cast<std::int64_t>(i));
    if (c.positive && i + 1 == c.constants.size())
      for (float& v : values) v = v * v + 0.25f;
    const std::string name = "c" + std::to_string(i);
    node.inputs.push_back(name);
    m.initializers.push_back(
        {name, c.constants[i], [values](const auto& put) { put(values); }, {}});
  }
  for (std::size_t i = 0; i < c.integers.size(); ++i) {
    const std::string name = "i" + std::to_string(i);
    node.inputs.push_back(name);
    m.initializers.push_back({name, {std::ssize(c.integers[i])}, {}, c.integers[i]});
  }
  m.nodes = {node};
  return m;
}

std::vector<NodeCase> node_cases() {
  const auto window = [](Ints kernel, Ints strides, Ints pads,
                         std::map<std::string, Attribute> more = {}) {
    more["kernel_shape"] = std::move(kernel);
    more["strides"] = std::move(strides);
    more["pads"] = std::move(pads);
    return more;
  };
  return {
      {"conv",
       "Conv",
       {3, 7, 6},
       {4, 4, 3},
       window({3, 3}, {2, 2}, {1, 1, 1, 1}),
       {{4, 3, 3, 3}, {4}}},
      {"conv_wide",
       "Conv",
       {2, 5, 9},
       {3, 5, 9},
       window({1, 7}, {1, 1}, {0, 3, 0, 3}),
       {{3, 2, 1, 7}}},
      {"conv_grouped",
       "Conv",
       {4, 5, 5},
       {6, 5, 5},
       window({3, 3}, {1, 1}, {1, 1, 1, 1}, {{"group", std::int64_t{2}}}),
       {{6, 2, 3, 3}, {6}}},
      {"conv_depthwise",
       "Conv",
       {3, 6, 6},
       {3, 3, 3},
       window({3, 3}, {2, 2}, {1, 1, 1, 1}, {{"group", std::int64_t{3}}}),
       {{3, 1, 3, 3}}},
      {"conv_dilated",
       "Conv",
       {2, 8, 8},
       {2, 4, 4},
       window({3, 3}, {1, 1}, {0, 0, 0, 0}, {{"dilations", Ints{2, 2}}}),
       {{2, 2, 3, 3}}},
      {"conv_row",
       "Conv",
       {1, 9},
       {1, 9},
       {{"kernel_shape", Ints{3}}, {"pads", Ints{1, 1}}},
       {{1, 1, 3}}},
      {"batch_norm",
       "BatchNormalization",
       {3, 2, 2},
       {3, 2, 2},
       {{"epsilon", 0.125f}},
       {{3}, {3}, {3}, {3}},
       {},
       true},
      {"max_pool_ceil",
       "MaxPool",
       {2, 8, 7},
       {2, 4, 3},
       window({3, 3}, {2, 2}, {0, 0, 0, 0}, {{"ceil_mode", std::int64_t{1}}})},
      {"max_pool_padded", "MaxPool", {2, 8, 7}, {2, 4, 4}, window({3, 3}, {2, 2}, {1, 1, 1, 1})},
      {"max_pool_ceil_padded",
       "MaxPool",
       {1, 6, 6},
       {1, 4, 4},
       window({3, 3}, {2, 2}, {1, 1, 1, 1}, {{"ceil_mode", std::int64_t{1}}})},
      {"average_pool_counts",
       "AveragePool",
       {2, 5, 6},
       {2, 5, 6},
       window({3, 3}, {1, 1}, {1, 1, 1, 1}, {{"count_include_pad", std::int64_t{1}}})},
      {"average_pool_leaves_out",
       "AveragePool",
       {2, 5, 6},
       {2, 5, 6},
       window({3, 3}, {1, 1}, {1, 1, 1, 1})},
      {"average_pool_strided",
       "AveragePool",
       {2, 7, 7},
       {2, 4, 4},
       window({3, 3}, {2, 2}, {1, 1, 1, 1}, {{"count_include_pad", std::int64_t{1}}})},
      {"global_average", "GlobalAveragePool", {3, 4, 5}, {3, 1, 1}},
      {"global_max", "GlobalMaxPool", {3, 4, 5}, {3, 1, 1}},
      {"gemm", "Gemm", {5}, {4}, {{"transB", std::int64_t{1}}}, {{4, 5}, {4}}},
      {"gemm_plain", "Gemm", {5}, {4}, {}, {{5, 4}}},
      {"relu", "Relu", {2, 3, 3}, {2, 3, 3}},
      {"sigmoid", "Sigmoid", {2, 3, 3}, {2, 3, 3}},
      {"erf", "Erf", {2, 3, 3}, {2, 3, 3}},
      {"tanh", "Tanh", {2, 3, 3}, {2, 3, 3}},
      {"hard_sigmoid", "HardSigmoid", {2, 5, 5}, {2, 5, 5}, {{"alpha", 1.f / 6}, {"beta", 0.5f}}},
      {"hard_sigmoid_default", "HardSigmoid", {2, 5, 5}, {2, 5, 5}},
      {"mul_channels", "Mul", {3, 2, 2}, {3, 2, 2}, {}, {{1, 3, 1, 1}}},
      {"mul_scalar", "Mul", {3, 2, 2}, {3, 2, 2}, {}, {{1}}},
      {"add_map", "Add", {3, 2, 2}, {3, 2, 2}, {}, {{1, 3, 2, 2}}},
      {"concat", "Concat", {2, 2, 2}, {5, 2, 2}, {{"axis", std::int64_t{1}}}, {{2, 3, 2, 2}}},
      {"gather",
       "Gather",
       {6, 2, 2},
       {6, 2, 2},
       {{"axis", std::int64_t{1}}},
       {},
       {{0, 2, 4, 1, 3, 5}}},
      {"slice_pixels", "Slice", {2, 5, 6}, {2, 3, 3}, {}, {}, {{0, 0}, {5, 6}, {2, 3}, {2, 2}}},
      {"slice_channels", "Slice", {5, 2, 2}, {3, 2, 2}, {}, {}, {{1}, {4}, {1}}},
      {"pad", "Pad", {2, 3, 3}, {5, 4, 4}, {}, {}, {{0, 1, 1, 1, 0, 2, 0, 0}}},
      {"flatten", "Flatten", {2, 3, 2}, {12}, {{"axis", std::int64_t{1}}}},
      {"reshape", "Reshape", {6, 1, 1}, {1, 6}, {}, {}, {{0, 1, -1}}},
  };
}

/// Where EXCITON_ONNX_DIR says, files are left for other programs to run; see onnxruntime.js.
std::optional<std::filesystem::path> left_for_others(const std::string& name) {
  const char* folder = std::getenv("EXCITON_ONNX_DIR");
  if (!folder) return std::nullopt;
  return std::filesystem::path(folder) / name;
}

void leave(const std::string& name, const Model& model, const Array& input,
           const std::vector<float>& expected) {
  const auto path = left_for_others(name);
  if (!path) return;
  write(path->string() + ".onnx", model);
  nlohmann::json json{{"shape", input.shape}, {"input", input.values}, {"expected", expected}};
  std::ofstream(path->string() + ".json") << json;
}

TEST(Onnx, NodesComputeWhatOnnxRuntimeDoes) {
  const auto golden = nlohmann::json::parse(std::ifstream(made("../onnx_golden.json")));
  const TempDir dir;
  for (const NodeCase& c : node_cases()) {
    const Model model = model_of(c);
    Ints shape = c.input;
    shape.insert(shape.begin(), 2);
    const Array input{shape, some_values(product(shape), 1)};
    write(dir / "one.onnx", model);
    const std::vector<Array> out = run(dir / "one.onnx", read(dir / "one.onnx"), input);
    leave("node_" + c.name, model, input, out[0].values);
    Ints expected_shape = c.output;
    expected_shape.insert(expected_shape.begin(), 2);
    EXPECT_EQ(out[0].shape, expected_shape) << c.name;
    if (!golden.contains(c.name)) {
      ADD_FAILURE() << "no golden values of " << c.name;
      continue;
    }
    const auto expected = golden[c.name].get<std::vector<float>>();
    ASSERT_EQ(out[0].values.size(), expected.size()) << c.name;
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(out[0].values[i], expected[i], 2e-6f * std::max(1.f, std::abs(expected[i])))
          << c.name << ' ' << i;
  }
}

/// Every value is made before it is read, and once; every constant is read.
void expect_well_formed(const FileModel& m) {
  EXPECT_EQ(m.opset, 17);
  EXPECT_EQ(m.ir_version, 8);
  EXPECT_EQ(m.inputs, std::vector<std::string>{"input"});
  EXPECT_EQ(m.outputs, std::vector<std::string>{"logits"});
  std::set<std::string> known{"input"}, read_names;
  for (const auto& [name, constant] : m.constants) known.insert(name);
  for (const Node& node : m.nodes) {
    for (const std::string& name : node.inputs) {
      EXPECT_TRUE(known.contains(name)) << node.type << " reads " << name;
      read_names.insert(name);
    }
    for (const std::string& name : node.outputs)
      EXPECT_TRUE(known.insert(name).second) << name << " is made twice";
  }
  EXPECT_TRUE(known.contains("logits"));
  for (const auto& [name, constant] : m.constants)
    EXPECT_TRUE(read_names.contains(name)) << name << " is read by nobody";
}

struct NetworkCase {
  std::string name;
  nn::ModelOptions options{};
  std::int64_t size = 0;
};

std::vector<NetworkCase> networks() {
  std::vector<NetworkCase> out;
  for (const auto& entry : nn::model_registry().entries()) {
    NetworkCase c{entry.name};
    c.options.classes = 7;
    if (entry.stages > 0) c.options.blocks.assign(static_cast<std::size_t>(entry.stages), 1);
    c.size = entry.image_size == 32 ? 16 : entry.name.ends_with("inception_resnet_v2") ? 107 : 64;
    if (entry.name.ends_with("vgg16_bn")) c.size = c.options.image_size = 32;
    out.push_back(c);
  }
  const auto with = [&](std::string name, const auto& change) {
    NetworkCase c{std::move(name), {.classes = 7, .blocks = {1, 2, 1}}, 16};
    if (c.name.find("18") != std::string::npos || c.name.find("50") != std::string::npos) {
      c.options.blocks = {1, 2, 1, 1};
      c.size = 64;
    }
    change(c.options);
    out.push_back(c);
  };
  with("resnet20", [](auto& o) { o.shortcut = "zero_pad"; });
  with("resnet50", [](auto& o) { o.pool = "padded", o.stride_on = "3x3"; });
  with("resnet18", [](auto& o) { o.stem = "3x3"; });
  with("se_resnet18", [](auto& o) { o.se.input_relu = true; });
  with("se_resnet20", [](auto& o) { o.image_channels = 1; });
  with("speednet93", [](auto& o) { o.blocks = {2, 3, 2}, o.activation = "silu"; });
  with("se_speednet93", [](auto& o) { o.blocks = {2, 3, 2}; });
  for (const char* gate : {"tanh", "relu", "hard_sigmoid"})
    with("se_resnet20", [&](auto& o) { o.se.gate = gate; });
  for (const char* squeeze : {"max", "none"})
    with("se_resnet20", [&](auto& o) { o.se.squeeze = squeeze; });
  for (const char* place : {"pre", "post", "identity", "conv3x3"})
    with("se_resnet20", [&](auto& o) { o.se.placement = place; });
  for (const char* kind : {"eca", "ge", "ese", "cbam"})
    with("se_resnet20", [&](auto& o) { o.se.kind = kind; });
  return out;
}

std::string label_of(const ::testing::TestParamInfo<NetworkCase>& info) {
  const nn::ModelOptions& o = info.param.options;
  std::string out = std::to_string(info.index) + '_' + info.param.name;
  for (const std::string& more : {o.se.gate, o.se.squeeze, o.se.placement, o.se.kind, o.shortcut})
    if (more != "sigmoid" && more != "avg" && more != "standard" && more != "se" &&
        more != "projection")
      out += '_' + more;
  return out;
}

class OnnxNetwork : public ::testing::TestWithParam<NetworkCase> {};

TEST_P(OnnxNetwork, FileComputesWhatTheNetworkDoes) {
  const NetworkCase& c = GetParam();
  nn::Model model = nn::make_model(c.name, c.options, 3);
  Generator rng(9);
  for (const auto& [name, tensor] : nn::buffers(*model.net)) {
    if (name.ends_with("running_mean"))
      tensor->copy_from(Tensor::rand(tensor->shape(), rng, -0.2, 0.2));
    if (name.ends_with("running_var"))
      tensor->copy_from(Tensor::rand(tensor->shape(), rng, 0.5, 1.5));
  }
  nn::set_training(*model.net, false);
  nn::set_fused(*model.net, false);
  const std::int64_t channels = c.options.image_channels, side = c.size, n = 2;
  const Tensor images = Tensor::randn({n, side, side, channels}, rng);
  const Tensor logits = model(images).value();
  const Layout layout = layout_of(*model.net, own_source("", {}).naming);
  Array input{{n, channels, side, side},
              std::vector<float>(static_cast<std::size_t>(images.numel()))};
  for (std::int64_t i = 0; i < images.numel(); ++i) {
    const std::int64_t channel = i % channels, pixel = i / channels % (side * side),
                       image = i / (channels * side * side);
    input.values[static_cast<std::size_t>((image * channels + channel) * side * side + pixel)] =
        images.data<float>()[i];
  }
  double largest = 1;
  for (const float v : logits.span<float>())
    largest = std::max(largest, std::abs(static_cast<double>(v)));
  const TempDir dir;
  for (const bool fold : {false, true}) {
    const Model graph = record(
        *model.net, layout,
        {.height = side, .width = side, .channels = channels, .fold = fold, .mean = {}, .std = {}});
    write(dir / "net.onnx", graph);
    const FileModel file = read(dir / "net.onnx");
    expect_well_formed(file);
    const std::vector<Array> out = run(dir / "net.onnx", file, input);
    ASSERT_EQ(out.size(), 1u);
    ASSERT_EQ(out[0].shape, (Ints{n, c.options.classes}));
    for (std::int64_t i = 0; i < logits.numel(); ++i)
      ASSERT_NEAR(out[0].values[static_cast<std::size_t>(i)], logits.data<float>()[i],
                  1e-4 * largest)
          << (fold ? "folded " : "") << i;
    if (!fold || c.options.blocks.size() == 3)
      leave("net_" + label_of({c, 0}).substr(2) + (fold ? "_folded" : ""), graph, input,
            {logits.span<float>().begin(), logits.span<float>().end()});
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, OnnxNetwork, ::testing::ValuesIn(networks()), label_of);

TEST(Onnx, DamageIsAnErrorOrAValue) {
  const TempDir dir;
  nn::Model model = nn::make_model("se_resnet20", {.classes = 3, .blocks = {1, 1, 1}});
  const Layout layout = layout_of(*model.net, own_source("", {}).naming);
  write(dir / "x.onnx",
        record(*model.net, layout,
               {.height = 8, .width = 8, .channels = 3, .fold = false, .mean = {}, .std = {}}));
  std::ifstream in(dir / "x.onnx", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto try_to_run = [&](const std::string& changed) {
    interop::testing::write_bytes(dir / "y.onnx", changed);
    try {
      run(dir / "y.onnx", read(dir / "y.onnx"), {{1, 3, 8, 8}, std::vector<float>(192)});
    } catch (const Error&) {
    }
  };
  for (std::size_t cut = 0; cut < 4000; cut += 97) try_to_run(bytes.substr(0, cut));
  for (std::size_t i = 0; i < 4000; i += 31) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x11);
    try_to_run(changed);
  }
}

}  // namespace
}  // namespace exciton::interop::onnx::testing
