// Operators against values recorded from PyTorch (tests/golden/make_ops_golden.py).
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "support.hpp"

namespace exciton::ops {
namespace {

using nlohmann::json;
using Inputs = std::vector<Var>;

Tensor unpack(const json& j, DType type) {
  if (j.is_null()) return {};
  Shape shape;
  for (std::int64_t d : j["shape"]) shape.push_back(d);
  return Tensor::from(shape, j["values"], type);
}

ConvSpec conv_spec(const json& a) {
  return {.stride = a.value("stride", 1),
          .padding = a.value("padding", 0),
          .dilation = a.value("dilation", 1),
          .groups = a.value("groups", 1)};
}

PoolSpec pool_spec(const json& a) {
  return {.kernel = a["kernel"],
          .stride = a["stride"],
          .padding = a.value("padding", 0),
          .ceil_mode = a.value("ceil_mode", false),
          .count_include_pad = a.value("count_include_pad", true)};
}

SqueezeKind squeeze_kind(const std::string& name) {
  return name == "max" ? SqueezeKind::max : SqueezeKind::avg;
}

ShakeKind shake_kind(const std::string& name) {
  return name == "shake" ? ShakeKind::shake : name == "even" ? ShakeKind::even : ShakeKind::keep;
}

ResidualTail residual_tail(const json& a) {
  return {.relu = a["relu"], .squeeze = squeeze_kind(a["squeeze"])};
}

/// How a recorded case is computed here.
const std::map<std::string, std::function<Var(const Inputs&, const json&)>> calls{
    {"conv2d",
     [](const Inputs& x, const json& a) { return conv2d(x[0], x[1], x[2], conv_spec(a)); }},
    {"linear", [](const Inputs& x, const json&) { return linear(x[0], x[1], x[2]); }},
    {"relu", [](const Inputs& x, const json&) { return relu(x[0]); }},
    {"sigmoid", [](const Inputs& x, const json&) { return sigmoid(x[0]); }},
    {"tanh", [](const Inputs& x, const json&) { return ops::tanh(x[0]); }},
    {"hard_sigmoid", [](const Inputs& x, const json&) { return hard_sigmoid(x[0]); }},
    {"add", [](const Inputs& x, const json&) { return add(x[0], x[1]); }},
    {"mul", [](const Inputs& x, const json&) { return mul(x[0], x[1]); }},
    {"max_pool", [](const Inputs& x, const json& a) { return max_pool(x[0], pool_spec(a)); }},
    {"avg_pool", [](const Inputs& x, const json& a) { return avg_pool(x[0], pool_spec(a)); }},
    {"global_avg_pool", [](const Inputs& x, const json&) { return global_avg_pool(x[0]); }},
    {"cross_entropy",
     [](const Inputs& x, const json& a) {
       const Tensor labels = Tensor::from({x[0].dim(0)}, a["labels"], DType::i64);
       return cross_entropy(x[0], labels, a["smoothing"]);
     }},
    {"concat", [](const Inputs& x, const json&) { return concat(x); }},
    {"split_and_swap",
     [](const Inputs& x, const json&) {
       const auto parts = split(x[0], {2, 3});
       return concat({parts[1], parts[0]});
     }},
    {"channel_shuffle",
     [](const Inputs& x, const json& a) { return channel_shuffle(x[0], a["groups"]); }},
    {"shortcut_pad",
     [](const Inputs& x, const json& a) { return shortcut_pad(x[0], a["channels"], a["stride"]); }},
    {"reshape",
     [](const Inputs& x, const json& a) {
       const Shape to{a["to"][0], a["to"][1]};
       return reshape(x[0], to);
     }},
    {"squeeze",
     [](const Inputs& x, const json& a) { return squeeze(x[0], squeeze_kind(a["kind"])); }},
    {"excite",
     [](const Inputs& x, const json& a) {
       return excite(x[0], x[1], x[2], x[3], x[4], gate_names.parse(a["gate"].get<std::string>()));
     }},
    {"scale", [](const Inputs& x, const json&) { return scale(x[0], x[1]); }},
    {"se_block",
     [](const Inputs& x, const json&) {
       return scale(x[0], excite(squeeze(x[0]), x[1], x[2], x[3], x[4]));
     }},
    {"channel_conv", [](const Inputs& x, const json&) { return channel_conv(x[0], x[1]); }},
    {"shake_shake",
     [](const Inputs& x, const json& a) {
       Generator generator(Generator::State{a["seed"], a["stream"], a["counter"]});
       return shake_shake(x[0], x[1], shake_kind(a["forward"]), shake_kind(a["backward"]),
                          generator);
     }},
    {"residual_tail",
     [](const Inputs& x, const json& a) {
       return apply(residual_tail(a), x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
     }},
};

class Golden : public testing::TestWithParam<DType> {
 protected:
  Golden() : type(GetParam()), tolerance(type == DType::f64 ? 1e-8 : 1e-5) {
    std::ifstream file(EXCITON_GOLDEN_DIR "/ops.json");
    cases = json::parse(file)["cases"];
  }
  /// Compares the call with everything that case `c` recorded.
  template <class F>
  void compare(const json& c, F call) const {
    Tape tape;
    Inputs x;
    for (const json& input : c["inputs"]) {
      const Tensor t = unpack(input, type);
      x.push_back(t.empty() ? Var() : tape.watch(t));
    }
    const Var y = call(x, c["attributes"]);
    EXPECT_LE(distance(y.value(), unpack(c["output"], DType::f64)), tolerance);
    tape.backward(y, unpack(c["cotangent"], type));
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (x[i].empty()) continue;
      EXPECT_LE(distance(tape.gradient(x[i]), unpack(c["gradients"][i], DType::f64)), tolerance)
          << "gradient " << i;
    }
  }

  DType type;
  double tolerance;
  json cases;
};

TEST_P(Golden, EveryOperatorFollowsPyTorch) {
  std::map<std::string, int> seen;
  for (const json& c : cases) {
    const std::string op = c["op"];
    ++seen[op];
    if (op == "batch_norm") continue;  // below, with its running statistics
    SCOPED_TRACE(op + ' ' + c["attributes"].dump());
    compare(c, calls.at(op));
  }
  for (const auto& [op, call] : calls) EXPECT_GE(seen[op], 1) << op << " has no recorded case";
}

TEST_P(Golden, BatchNormAndItsRunningStatistics) {
  int seen = 0;
  for (const json& c : cases) {
    if (c["op"] != "batch_norm") continue;
    ++seen;
    SCOPED_TRACE(c["attributes"].dump());
    const json& r = c["running"];
    RunningStats running{unpack(r["before"][0], type), unpack(r["before"][1], type)};
    compare(c, [&](const Inputs& x, const json& a) {
      return batch_norm(x[0], x[1], x[2],
                        {.eps = a["eps"],
                         .momentum = a["momentum"],
                         .training = a["training"],
                         .running = &running});
    });
    EXPECT_LE(distance(running.mean, unpack(r["after"][0], DType::f64)), tolerance);
    EXPECT_LE(distance(running.var, unpack(r["after"][1], DType::f64)), tolerance);
  }
  EXPECT_EQ(seen, 4);
}

TEST_P(Golden, PlainTwinsFollowPyTorch) {
  for (const json& c : cases) {
    SCOPED_TRACE(c["op"].get<std::string>() + ' ' + c["attributes"].dump());
    if (c["op"] == "conv2d")
      compare(c, [](const Inputs& x, const json& a) {
        return apply(Conv2d{.spec = conv_spec(a), .plain = true}, x[0], x[1], x[2]);
      });
    if (c["op"] == "linear")
      compare(c, [](const Inputs& x, const json&) {
        return apply(Linear{.plain = true}, x[0], x[1], x[2]);
      });
    if (c["op"] == "residual_tail")
      compare(c, [](const Inputs& x, const json& a) {
        return ResidualTail::composed(residual_tail(a), x[0], x[1], x[2], x[3], x[4], x[5], x[6],
                                      x[7]);
      });
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Golden, testing::Values(DType::f32, DType::f64),
                         [](const auto& type) { return std::string(name_of(type.param)); });

TEST(SmoothActivations, FollowPyTorch) {
  std::ifstream file(EXCITON_GOLDEN_DIR "/speedrun.json");
  const json all = json::parse(file);
  const auto compare = [&](const char* name, Var (*f)(const Var&)) {
    const json& c = all[name];
    const auto n = static_cast<std::int64_t>(c["x"].size());
    for (const DType type : {DType::f64, DType::f32}) {
      const double tolerance = type == DType::f64 ? 1e-14 : 4e-7;
      Tape tape;
      const Var x = tape.watch(Tensor::from({n}, c["x"], type));
      const Var y = f(x);
      tape.backward(y, Tensor::full({n}, 1, type));
      for (std::int64_t i = 0; i < n; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const double of = std::max(1.0, std::abs(c["x"][k].get<double>()));
        EXPECT_NEAR(y.value().at(i), c["y"][k].get<double>(), tolerance * of) << name << ' ' << i;
        EXPECT_NEAR(tape.gradient(x).at(i), c["slope"][k].get<double>(), tolerance * of)
            << name << ' ' << i;
      }
    }
  };
  compare("gelu", gelu);
  compare("silu", silu);
}

}  // namespace
}  // namespace exciton::ops
