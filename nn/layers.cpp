#include "exciton/nn/layers.hpp"

#include "exciton/core/suggest.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "exciton/core/threads.hpp"
#include "exciton/nn/random_stream.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/dropout.hpp"
#include "exciton/ops/linear.hpp"
#include "exciton/ops/pooling.hpp"

namespace exciton::nn {
namespace {

/// Of one parameter: a gigabyte in f32, twice what the largest network here has in one. What a
/// recipe or a slip asks beyond that is refused before memory is taken.
constexpr std::int64_t most_elements = std::int64_t{1} << 28;

thread_local bool skips_initialization = false;  // see SkipInitialization

/// Fills `t` with draw(generator), in parallel: every element takes the same number of counters,
/// so element i starts at a known one and the values do not depend on the thread count.
template <class Draw>
Parameter filled(const Shape& shape, Generator& init, Draw&& draw) {
  check(shape.numel() <= most_elements, "a parameter ", shape, " has ", shape.numel(),
        " elements, more than ", most_elements,
        "; try smaller widths, fewer classes or a smaller image_size");
  Tensor t(shape);
  if (skips_initialization) return Parameter(std::move(t));
  Generator probe(init.state());
  draw(probe);
  const Generator::State start = init.state();
  const std::uint64_t each = probe.state().counter - start.counter;
  const auto at = [&](std::int64_t i) {
    return Generator::State{start.seed, start.stream,
                            start.counter + each * static_cast<std::uint64_t>(i)};
  };
  float* values = t.data<float>();
  parallel_for(t.numel(), 4096, [&](std::int64_t begin, std::int64_t end) {
    Generator g(at(begin));
    for (std::int64_t i = begin; i < end; ++i) values[i] = static_cast<float>(draw(g));
  });
  init.set_state(at(t.numel()));
  return Parameter(std::move(t));
}

}  // namespace

SkipInitialization::SkipInitialization() : outer_(std::exchange(skips_initialization, true)) {}
SkipInitialization::~SkipInitialization() { skips_initialization = outer_; }

Parameter kaiming_normal(const Shape& shape, std::int64_t fan_out, Generator& init) {
  check(fan_out >= 1, "kaiming_normal: fan_out must be at least 1, got ", fan_out);
  return normal(shape, std::sqrt(2.0 / static_cast<double>(fan_out)), init);
}

void set_dirac(Parameter& weight) {
  const Shape& s = weight.shape();
  check(s.rank() == 4 && s[2] % 2 == 1 && s[3] % 2 == 1,
        "set_dirac: expected filters [out, in, kH, kW] with odd windows, got ", s);
  const std::int64_t each = s[1] * s[2] * s[3];
  auto w = weight.mutable_value().span<float>();
  for (std::int64_t i = 0; i < std::min(s[0], s[1]); ++i) {
    const auto filter =
        w.subspan(static_cast<std::size_t>(i * each), static_cast<std::size_t>(each));
    std::ranges::fill(filter, 0.0F);
    filter[static_cast<std::size_t>((i * s[2] + s[2] / 2) * s[3] + s[3] / 2)] = 1;
  }
}

Parameter normal(const Shape& shape, double deviation, Generator& init) {
  return filled(shape, init, [deviation](Generator& g) { return deviation * g.normal(); });
}

Parameter uniform(const Shape& shape, double bound, Generator& init) {
  check(bound >= 0 && std::isfinite(bound), "uniform: the bound must not be negative, got ", bound);
  return filled(shape, init,
                [bound](Generator& g) { return bound * (2 * g.uniform_double() - 1); });
}

Conv2d::Conv2d(std::int64_t in, std::int64_t out, KernelSize kernel, const ops::ConvSpec& s,
               Generator& init, bool with_bias)
    : spec(s) {
  const auto in_range = [](std::int64_t size) { return size >= 1 && size <= most_elements; };
  check(in_range(in) && in_range(out) && in_range(kernel.h) && in_range(kernel.w) &&
            in_range(kernel.h * kernel.w),
        "Conv2d: in, out and kernel must be at least 1 and at most ", most_elements, ", got ", in,
        ", ", out, " and ", kernel.h, "x", kernel.w);
  check(s.groups >= 1 && in % s.groups == 0 && out % s.groups == 0, "Conv2d: groups ", s.groups,
        " must divide in ", in, " and out ", out);
  weight = kaiming_normal({out, in / s.groups, kernel.h, kernel.w},
                          kernel.h * kernel.w * out / s.groups, init);
  if (with_bias) bias = Parameter(Tensor::zeros({out}));
}

void Conv2d::visit(Visitor& v) {
  v("weight", weight);
  v("bias", bias, Role::bias);
}

Var Conv2d::forward(const Var& x) {
  return ops::conv2d(x, weight, bias, spec, packed, keep_packed && !training);
}

BatchNorm::BatchNorm(std::int64_t channels, const BatchNormOptions& o) : options(o) {
  check(channels >= 1 && channels <= most_elements,
        "BatchNorm: channels must be at least 1 and at "
        "most ",
        most_elements, ", got ", channels);
  check(o.eps >= 0 && std::isfinite(o.eps), "BatchNorm: eps must not be negative, got ", o.eps);
  check(o.momentum >= 0 && o.momentum <= 1, "BatchNorm: momentum must be in [0, 1], got ",
        o.momentum);
  weight = Parameter(Tensor::full({channels}, 1));
  weight.trainable = o.scale;
  bias = Parameter(Tensor::zeros({channels}));
  running = {Tensor::zeros({channels}), Tensor::full({channels}, 1)};
}

void BatchNorm::visit(Visitor& v) {
  v("weight", weight, Role::norm);
  v("bias", bias, Role::norm);
  v("running_mean", running.mean);
  v("running_var", running.var);
}

ops::BatchNormSpec BatchNorm::spec() {
  return {.eps = options.eps,
          .momentum = options.momentum,
          .training = training && !frozen,
          .running = &running};
}

Var BatchNorm::forward(const Var& x) { return ops::batch_norm(x, weight, bias, spec()); }

void freeze_norms(Module& module, bool frozen) {
  struct Freeze final : Visitor {
    explicit Freeze(bool to) : frozen(to) {}
    void enter(const std::string&, Module& m) override {
      if (auto* norm = dynamic_cast<BatchNorm*>(&m)) norm->frozen = frozen;
    }
    bool frozen;
  };
  Freeze(frozen).walk(module);
}

void freeze(Module& module, const std::vector<std::string>& names) {
  struct Freeze final : Visitor {
    explicit Freeze(const std::vector<std::string>& of) : wanted(of), found(of.size()) {}
    bool take(const std::string& name) {
      bool taken = false;
      for (std::size_t i = 0; i < wanted.size(); ++i)
        if (name == wanted[i] || name.starts_with(wanted[i] + '.')) taken = found[i] = true;
      return taken;
    }
    void enter(const std::string& name, Module& m) override {
      for (std::size_t dot = name.find('.'); !name.empty(); dot = name.find('.', dot + 1)) {
        known.push_back(name.substr(0, dot));
        if (dot == std::string::npos) break;
      }
      auto* norm = dynamic_cast<BatchNorm*>(&m);
      if (take(name) && norm) norm->frozen = true;
    }
    void parameter(const std::string& name, Parameter& p) override {
      if (take(name)) p.trainable = false;
    }
    const std::vector<std::string>& wanted;
    std::vector<bool> found;
    std::vector<std::string> known;
  };
  Freeze walker(names);
  walker.walk(module);
  for (std::size_t i = 0; i < names.size(); ++i)
    check(walker.found[i], "freeze: nothing is named \"", names[i], '"',
          did_you_mean(names[i], walker.known));
}

Linear::Linear(std::int64_t in, std::int64_t out, Generator& init, bool with_bias) {
  check(in >= 1 && out >= 1 && in <= most_elements && out <= most_elements,
        "Linear: in and out must be at least 1, got ", in, " and ", out);
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight = uniform({out, in}, bound, init);
  if (with_bias) bias = uniform({out}, bound, init);
}

void Linear::visit(Visitor& v) {
  v("weight", weight);
  v("bias", bias, Role::bias);
}

Var Linear::forward(const Var& x) { return ops::linear(x, weight, bias); }

Dropout::Dropout(double probability, Generator& init) : p(probability), state(new_stream(init)) {
  check(p >= 0 && p < 1, "Dropout: p must be in [0, 1), got ", p);
}

void Dropout::visit(Visitor& v) {
  if (p > 0) v("state", state);
}

Var Dropout::forward(const Var& x) {
  if (!training || p == 0) return x;
  return draw_from(state, [&](Generator& generator) { return ops::dropout(x, p, generator); });
}

Var Relu::forward(const Var& x) { return ops::relu(x); }

Var MaxPool::forward(const Var& x) { return ops::max_pool(x, spec); }

Var AvgPool::forward(const Var& x) { return ops::avg_pool(x, spec); }

Var GlobalAvgPool::forward(const Var& x) { return ops::global_avg_pool(hooked(hook, x)); }

void Sequential::visit(Visitor& v) {
  for (std::size_t i = 0; i < modules_.size(); ++i) v(std::to_string(i), *modules_[i]);
}

Var Sequential::forward(const Var& x) {
  Var y = x;
  for (const auto& m : modules_) y = (*m)(y);
  return y;
}

void keep_packed_weights(Module& module, bool keep) {
  struct Setting final : Visitor {
    bool keep;
    void enter(const std::string&, Module& m) override {
      if (auto* conv = dynamic_cast<Conv2d*>(&m)) conv->keep_packed = keep;
    }
  } setting;
  setting.keep = keep;
  setting.walk(module);
}

}  // namespace exciton::nn
