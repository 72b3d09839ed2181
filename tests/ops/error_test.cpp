// Wrong use is answered in one line: who complains, what was wanted, what came.
#include "support.hpp"

namespace exciton::ops {
namespace {

Tensor f32(const Shape& shape) { return Tensor::zeros(shape); }
Tensor labels(const std::vector<double>& values) {
  return Tensor::from({static_cast<std::int64_t>(values.size())}, values, DType::i64);
}

/// f must fail with a message that opens with the operator's name and contains every word.
template <class F>
void complains(std::string_view name, const std::vector<std::string>& words, F f) {
  try {
    f();
    ADD_FAILURE() << name << " did not complain";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.rfind(std::string(name) + ":", 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const std::string& word : words)
      EXPECT_NE(message.find(word), std::string::npos) << '"' << word << "\" missing: " << message;
  }
}

// Versions of clang-format differ about lambdas as last arguments.
// clang-format off
TEST(Errors, Conv2d) {
  complains("conv2d", {"[1, 4, 4, 3]", "[8, 4, 3, 3]", "3 channels", "expects 4"}, [] {
    conv2d(f32({1, 4, 4, 3}), f32({8, 4, 3, 3}));
  });
  complains("conv2d", {"[N, H, W, C]", "[4, 3]"}, [] { conv2d(f32({4, 3}), f32({8, 3, 3, 3})); });
  complains("conv2d", {"[O, C/groups, kH, kW]", "[8, 3]"}, [] {
    conv2d(f32({1, 4, 4, 3}), f32({8, 3}));
  });
  complains("conv2d", {"5-pixel window", "4 pixels"}, [] {
    conv2d(f32({1, 4, 4, 3}), f32({8, 3, 5, 5}));
  });
  complains("conv2d", {"bias", "[7]", "[8]"}, [] {
    conv2d(f32({1, 4, 4, 3}), f32({8, 3, 3, 3}), f32({7}));
  });
  complains("conv2d", {"2 groups", "3 input", "8 output"}, [] {
    conv2d(f32({1, 4, 4, 3}), f32({8, 3, 3, 3}), {}, {.groups = 2});
  });
  complains("conv2d", {"f64", "f32"}, [] {
    conv2d(f32({1, 4, 4, 3}), Tensor::zeros({8, 3, 3, 3}, DType::f64));
  });
  complains("conv2d", {"stride 0"}, [] {
    conv2d(f32({1, 4, 4, 3}), f32({8, 3, 3, 3}), {}, {.stride = 0});
  });
}

TEST(Errors, BatchNorm) {
  const auto norm = [](const Shape& x, const Shape& g, const BatchNormSpec& spec) {
    batch_norm(f32(x), f32(g), f32(g), spec);
  };
  complains("batch_norm", {"[2, 3, 4, 5]", "5 channels", "[4]"}, [&] {
    norm({2, 3, 4, 5}, {4}, {});
  });
  complains("batch_norm", {"[N, H, W, C]", "[5]"}, [&] { norm({5}, {5}, {}); });
  complains("batch_norm", {"running"}, [&] { norm({2, 5}, {5}, {.training = false}); });
  complains("batch_norm", {"more than one", "1"}, [&] { norm({1, 5}, {5}, {}); });
  RunningStats running{f32({3}), f32({3})};
  complains("batch_norm", {"3", "5"}, [&] { norm({2, 5}, {5}, {.running = &running}); });
}

TEST(Errors, SqueezeExciteScale) {
  complains("squeeze", {"[N, H, W, C]", "[2, 3]"}, [] { squeeze(f32({2, 3})); });
  complains("excite", {"[3, 8]", "[2, 7]"}, [] {
    excite(f32({3, 8}), f32({2, 7}), {}, f32({8, 2}), {});
  });
  complains("excite", {"first bias", "[3]", "[2]"}, [] {
    excite(f32({3, 8}), f32({2, 8}), f32({3}), f32({8, 2}), {});
  });
  complains("excite", {"swish", "sigmoid", "hard_sigmoid"}, [] { gate_names.parse("swish"); });
  complains("scale", {"[2, 3, 4, 5]", "[2, 5]", "[2, 4]"}, [] {
    scale(f32({2, 3, 4, 5}), f32({2, 4}));
  });
}

TEST(Errors, Linear) {
  complains("linear", {"[N, I]", "[2, 3, 4, 5]"}, [] {
    linear(f32({2, 3, 4, 5}), f32({4, 5}), f32({4}));
  });
  complains("linear", {"[3, 5]", "[O, 5]", "[4, 6]"}, [] { linear(f32({3, 5}), f32({4, 6})); });
  complains("linear", {"bias", "[5]", "[4]"}, [] { linear(f32({3, 5}), f32({4, 5}), f32({5})); });
  complains("linear", {"f64", "f32"}, [] {
    linear(f32({3, 5}), Tensor::zeros({4, 5}, DType::f64));
  });
  complains("linear", {"i64"}, [] { linear(Tensor::zeros({3, 5}, DType::i64), f32({4, 5})); });
}

TEST(Errors, Elementwise) {
  complains("add", {"[2, 3]", "[3, 2]"}, [] { add(f32({2, 3}), f32({3, 2})); });
  complains("add", {"f32", "bf16"}, [] { add(f32({2, 3}), Tensor::zeros({2, 3}, DType::bf16)); });
  complains("mul", {"[2, 3]", "[2, 4]"}, [] { mul(f32({2, 3}), f32({2, 4})); });
  for (auto f : {relu, sigmoid, tanh, hard_sigmoid})
    EXPECT_THROW(f(Tensor::zeros({2}, DType::u8)), Error);
  complains("relu", {"f32, bf16 or f64", "i64"}, [] { relu(Tensor::zeros({2, 3}, DType::i64)); });
}

TEST(Errors, Pooling) {
  complains("max_pool", {"[N, H, W, C]", "[2, 3]"}, [] { max_pool(f32({2, 3})); });
  complains("max_pool", {"3-pixel window", "2 pixels"}, [] {
    max_pool(f32({1, 2, 2, 1}), {.kernel = 3});
  });
  complains("avg_pool", {"padding", "half the kernel", "2"}, [] {
    avg_pool(f32({1, 4, 4, 1}), {.kernel = 2, .padding = 2});
  });
  complains("avg_pool", {"kernel and stride", "0"}, [] {
    avg_pool(f32({1, 4, 4, 1}), {.stride = 0});
  });
  complains("max_pool", {"17", "16"}, [] { max_pool(f32({1, 20, 20, 1}), {.kernel = 17}); });
  complains("global_avg_pool", {"[N, H, W, C]", "[2, 3]"}, [] { global_avg_pool(f32({2, 3})); });
}

TEST(Errors, CrossEntropy) {
  complains("cross_entropy", {"[N, K]", "[2, 3, 4]"}, [] {
    cross_entropy(f32({2, 3, 4}), labels({0, 1}));
  });
  complains("cross_entropy", {"[3, 5]", "labels [3]", "[2]"}, [] {
    cross_entropy(f32({3, 5}), labels({0, 1}));
  });
  complains("cross_entropy", {"label 5", "row 1", "[0, 5)"}, [] {
    cross_entropy(f32({2, 5}), labels({0, 5}));
  });
  complains("cross_entropy", {"label -1", "row 0"}, [] {
    cross_entropy(f32({2, 5}), labels({-1, 0}));
  });
  complains("cross_entropy", {"i64", "f32"}, [] { cross_entropy(f32({2, 5}), f32({2})); });
  complains("cross_entropy", {"smoothing", "[0, 1]", "1.5"}, [] {
    cross_entropy(f32({2, 5}), labels({0, 1}), 1.5);
  });
}

TEST(Errors, Dropout) {
  Generator rng;
  complains("dropout", {"[0, 1)", "got 1"}, [&] { dropout(f32({2}), 1, rng); });
}

TEST(Errors, Channels) {
  complains("concat", {"input 1", "[2, 4, 3]", "[2, 3, 4]"}, [] {
    concat({f32({2, 3, 4}), f32({2, 4, 3})});
  });
  complains("concat", {"at least one"}, [] { concat({}); });
  complains("slice_channels", {"3 channels from 3", "[2, 5]"}, [] {
    slice_channels(f32({2, 5}), 3, 3);
  });
  complains("split", {"4 channels", "[2, 5]"}, [] { split(f32({2, 5}), {2, 2}); });
  complains("channel_shuffle", {"2 groups", "[2, 5]"}, [] { channel_shuffle(f32({2, 5}), 2); });
  complains("shortcut_pad", {"5 channels", "4"}, [] { shortcut_pad(f32({1, 2, 2, 5}), 4, 2); });
  complains("shortcut_pad", {"stride", "0"}, [] { shortcut_pad(f32({1, 2, 2, 5}), 8, 0); });
  complains("reshape", {"[2, 6]", "12", "[5, 2]"}, [] { reshape(f32({2, 6}), {5, 2}); });
  complains("cast", {"f32, bf16 or f64", "i64"}, [] { cast(f32({2}), DType::i64); });
}

// clang-format on

}  // namespace
}  // namespace exciton::ops
