#include "sweep/check.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string_view>

#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/folded_conv.hpp"
#include "exciton/ops/convolution/norm_relu_conv.hpp"
#include "sweep/reference.hpp"

namespace exciton::sweep {

using ops::ConvKernels;
using ops::ConvSpec;

Tensor Subject::forward(const Tensor& x, const Tensor& w, const ConvSpec& spec,
                        const ConvKernels::Epilogue& epilogue) {
  return kernels_.forward(x, w, 1, spec, epilogue);
}
Tensor Subject::backward_data(const Tensor& dy, const Tensor& w, const Shape& x,
                              const ConvSpec& spec) {
  const Tensor dx = kernels_.backward_data(dy, w, 1, x, spec);
  kernels_.drop_weights();
  return dx;
}
Tensor Subject::backward_weights(const Tensor& x, const Tensor& dy, const Shape& w,
                                 const ConvSpec& spec) {
  return kernels_.backward_weights(x, dy, w, spec);
}

namespace {

constexpr double u32 = 0x1p-24, u16 = 0x1p-8;

std::size_t count_of(const Shape& shape) { return static_cast<std::size_t>(shape.numel()); }

Numbers absolute(Numbers v) {
  for (double& e : v) e = std::abs(e);
  return v;
}
double largest(const Numbers& v) {
  double m = 0;
  for (const double e : v) m = std::max(m, std::abs(e));
  return m;
}
double round_to_bf16(double v) { return static_cast<float>(bf16(static_cast<float>(v))); }

/// Exact values and how far a result may lie from them.
struct Expected {
  Numbers value, bound;
  explicit Expected(Numbers v) : value(std::move(v)), bound(value.size()) {}

  /// As a map of this type stores it.
  void store_as(DType type) {
    if (type != DType::bf16) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (bound[i] == 0)
        value[i] = round_to_bf16(value[i]);
      else
        bound[i] += u16 * (std::abs(value[i]) + bound[i]);
    }
  }
};

/// Winograd's transforms in one dimension multiply errors by at most
///   max over outputs of  sum over positions of |A| (sum |G|) (sum |B|)
/// for A, G, B the transforms of ops/simd/winograd_passes.hpp; in two by its square. The gradient
/// of weights has transforms of its own.
struct WinogradGain {
  static constexpr double stride1 = 24.9, stride2 = 20.1, weights = 30.8;
  static double of(const Form& f, ops::Direction d) {
    const double one = d == ops::Direction::backward_weights ? weights
                       : f.spec.stride == 1                  ? stride1
                                                             : stride2;
    return one * one;
  }
  static constexpr double steps = 40;  ///< roundings of the transforms of one tile
};

/// The sum of a convolution in one direction.
struct Sums {
  Expected expected;
  Numbers size;  ///< the same sum of absolute values; empty where all is exact
  explicit Sums(Numbers v) : expected(std::move(v)) {}
};

/// `compute(a, b)` of the inputs and, where they round, of their absolute values.
template <class Compute>
Sums sums_of(const Form& f, ops::Direction direction, const Numbers& a, const Numbers& b,
             std::int64_t products, const Compute& compute) {
  Sums s(compute(f, a, b));
  const auto g = ops::geometry_of(f.x(), f.weight(), f.spec, f.type, false);
  const bool kept = f.user == User::folded && direction == ops::Direction::forward;
  if (ops::Winograd::applicable(g, f.n, direction, kept)) {
    // Tiles hang over the edges: a sum over tiles, each of at least one pixel.
    const bool weights = direction == ops::Direction::backward_weights;
    const std::int64_t terms = weights                                ? products
                               : direction == ops::Direction::forward ? f.c
                                                                      : f.o;
    const double bound = u32 * (static_cast<double>(terms) + WinogradGain::steps) *
                         WinogradGain::of(f, direction) * static_cast<double>(terms) * largest(a) *
                         largest(b);
    std::fill(s.expected.bound.begin(), s.expected.bound.end(), bound);
    s.size = compute(f, absolute(a), absolute(b));
    return s;
  }
  if (f.values == Values::integers) return s;
  s.size = compute(f, absolute(a), absolute(b));
  for (std::size_t i = 0; i < s.size.size(); ++i)
    s.expected.bound[i] = static_cast<double>(products + 3) * u32 * s.size[i];
  return s;
}

class Check {
 public:
  Check(const Form& form, const MakeSubject& make)
      : f_(form), make_(make), memory_(form.guard), rng_(form.seed, 1) {}

  std::string run() {
    {
      const ScopedMemorySource guarded(memory_);
      switch (f_.user) {
        case User::kernels:
          kernels();
          break;
        case User::conv2d:
          conv2d();
          break;
        case User::folded:
          folded();
          break;
        case User::norm_relu:
          norm_relu();
          break;
      }
    }
    return found_.str() + memory_.damage();
  }

 private:
  /// Values of an input, which are exact in its type.
  Numbers draw(const Shape& shape, DType type) {
    Numbers v(count_of(shape));
    for (double& e : v) {
      e = f_.values == Values::integers ? static_cast<double>(rng_.below(7)) - 3 : rng_.normal();
      e = type == DType::bf16 ? round_to_bf16(e) : static_cast<double>(static_cast<float>(e));
    }
    return v;
  }
  /// A tensor of them that cannot be written to.
  Tensor input(const Shape& shape, const Numbers& values, DType type = DType::f32) {
    Tensor t(shape, type);
    if (type == DType::f32)
      std::transform(values.begin(), values.end(), t.data<float>(),
                     [](double v) { return static_cast<float>(v); });
    else
      std::transform(values.begin(), values.end(), t.data<bf16>(),
                     [](double v) { return bf16(static_cast<float>(v)); });
    memory_.protect(t.raw());
    return t;
  }

  void compare(std::string_view what, const Tensor& got, const Shape& shape, DType type,
               const Expected& expected) {
    if (got.shape() != shape || got.dtype() != type) {
      found_ << what << " is " << got.shape() << ' ' << got.dtype() << ", expected " << shape << ' '
             << type << '\n';
      return;
    }
    std::int64_t wrong = 0, first = -1;
    for (std::int64_t i = 0; i < got.numel(); ++i) {
      const auto k = static_cast<std::size_t>(i);
      if (std::abs(got.at(i) - expected.value[k]) <= expected.bound[k]) continue;
      if (wrong++ == 0) first = i;
    }
    if (wrong == 0) return;
    const auto k = static_cast<std::size_t>(first);
    found_ << what << ' ' << shape << ": " << wrong << " of " << got.numel()
           << " elements are wrong, element " << first << " is " << got.at(first) << ", expected "
           << expected.value[k] << " +- " << expected.bound[k] << '\n';
  }

  /// relu(gates (sums + bias) + shortcut) as maps store it; absent parts are empty.
  Expected finished(const Sums& sums, const Numbers& bias, const Numbers& gates,
                    const Numbers& shortcut, bool relu) const {
    Expected e = sums.expected;
    const std::size_t o = static_cast<std::size_t>(f_.o),
                      image = e.value.size() / static_cast<std::size_t>(f_.n);
    for (std::size_t i = 0; i < e.value.size(); ++i) {
      const double b = bias.empty() ? 0 : bias[i % o];
      const double s = gates.empty() ? 1 : gates[i / image * o + i % o];
      const double r = shortcut.empty() ? 0 : shortcut[i];
      double& v = e.value[i];
      v = s * (v + b) + r;
      if (relu) v = std::max(0.0, v);
      if (sums.size.empty()) continue;
      // Kernels may start their sum with the bias, so it takes part in every rounding.
      const double steps = sums.size[i] > 0 ? e.bound[i] / sums.size[i] : 0;
      e.bound[i] = std::abs(s) * (e.bound[i] + steps * std::abs(b)) +
                   4 * u32 * (std::abs(s) * (sums.size[i] + std::abs(b)) + std::abs(r));
    }
    e.store_as(f_.type);
    return e;
  }

  struct Layer {
    Numbers x, w, bias, dy;  ///< w as maps of the form's type see it
    Tensor tx, tw, tbias, tdy;
  };
  Layer layer() {
    Layer l;
    l.x = draw(f_.x(), f_.type);
    l.w = draw(f_.weight(), f_.type);
    l.dy = draw(f_.y(), f_.type);
    l.tx = input(f_.x(), l.x, f_.type);
    l.tw = input(f_.weight(), l.w);
    l.tdy = input(f_.y(), l.dy, f_.type);
    if (f_.bias) {
      l.bias = draw({f_.o}, DType::f32);
      l.tbias = input({f_.o}, l.bias);
    }
    return l;
  }

  Sums forward_sums(const Layer& l) const {
    return sums_of(f_, ops::Direction::forward, l.x, l.w, f_.kh * f_.kw * f_.c / f_.spec.groups,
                   reference_forward);
  }
  Expected data_gradient(const Layer& l) const {
    Expected e = sums_of(f_, ops::Direction::backward_data, l.dy, l.w,
                         f_.kh * f_.kw * f_.o / f_.spec.groups, reference_backward_data)
                     .expected;
    e.store_as(f_.type);
    return e;
  }
  Expected weight_gradient(const Layer& l) const {
    return sums_of(f_, ops::Direction::backward_weights, l.x, l.dy, f_.y().numel() / f_.o,
                   reference_backward_weights)
        .expected;
  }

  void kernels() {
    const std::unique_ptr<Subject> subject = make_();
    const Layer l = layer();
    const Sums sums = forward_sums(l);
    const Shape y = f_.y();
    compare("y", subject->forward(l.tx, l.tw, f_.spec, {.bias = l.tbias}), y, f_.type,
            finished(sums, l.bias, {}, {}, false));
    if (f_.gates || f_.shortcut || f_.relu) {
      ConvKernels::Epilogue e{.bias = l.tbias, .relu = f_.relu};
      Numbers gates, shortcut;
      if (f_.gates) e.gates = input({f_.n, f_.o}, gates = draw({f_.n, f_.o}, DType::f32));
      if (f_.shortcut) e.shortcut = input(y, shortcut = draw(y, f_.type), f_.type);
      compare("y with its epilogue", subject->forward(l.tx, l.tw, f_.spec, e), y, f_.type,
              finished(sums, l.bias, gates, shortcut, f_.relu));
    }
    compare("dx", subject->backward_data(l.tdy, l.tw, f_.x(), f_.spec), f_.x(), f_.type,
            data_gradient(l));
    compare("dw", subject->backward_weights(l.tx, l.tdy, f_.weight(), f_.spec), f_.weight(),
            DType::f32, weight_gradient(l));
    if (f_.n > 1 && f_.values == Values::integers) one_image(l, *subject);
    any_threads(l);
  }

  /// The same bits for any number of threads, by kernels that were made under that number.
  void any_threads(const Layer& l) {
    struct Results {
      Tensor y, dx, dw;
    };
    const auto results = [&] {
      const std::unique_ptr<Subject> subject = make_();
      Results r;
      r.y = subject->forward(l.tx, l.tw, f_.spec, {.bias = l.tbias, .relu = f_.relu});
      r.dx = subject->backward_data(l.tdy, l.tw, f_.x(), f_.spec);
      r.dw = subject->backward_weights(l.tx, l.tdy, f_.weight(), f_.spec);
      return r;
    };
    set_num_threads(1);
    const Results one = results();
    for (const int threads : {2, 3, 5, 8, 16}) {
      set_num_threads(threads);
      const Results more = results();
      const std::string of = " for " + std::to_string(threads) + " threads and one";
      same_bits("y" + of, more.y, one.y);
      same_bits("dx" + of, more.dx, one.dx);
      same_bits("dw" + of, more.dw, one.dw);
    }
    set_num_threads(f_.threads);
  }

  /// The first image alone, by the same layer: other primitives, the same weights.
  void one_image(const Layer& l, Subject& subject) {
    Form alone = f_;
    alone.n = 1;
    Numbers x(l.x.begin(), l.x.begin() + static_cast<std::ptrdiff_t>(count_of(alone.x())));
    const Sums sums = sums_of(alone, ops::Direction::forward, x, l.w,
                              f_.kh * f_.kw * f_.c / f_.spec.groups, reference_forward);
    const Tensor tx = input(alone.x(), x, f_.type);
    const Check one(alone, make_);
    const Expected expected = one.finished(sums, l.bias, {}, {}, false);
    compare("y of one image", subject.forward(tx, l.tw, f_.spec, {.bias = l.tbias}), alone.y(),
            f_.type, expected);
  }

  void conv2d() {
    const Layer l = layer();
    ops::PackedWeights packed;
    const ops::Conv2d op{
        .spec = f_.spec, .packed = packed.state(), .version = 1, .keep_packed = false};
    const Expected y = finished(forward_sums(l), l.bias, {}, {}, false);
    ops::Conv2d::Saved saved;
    compare("y", op.forward(saved, l.tx, l.tw, l.tbias), f_.y(), f_.type, y);
    const Grads<3> grads = op.backward(saved, l.tdy, {true, true, f_.bias});
    compare("dx", grads[0], f_.x(), f_.type, data_gradient(l));
    compare("dw", grads[1], f_.weight(), DType::f32, weight_gradient(l));
    if (f_.bias) {
      Expected db{Numbers(static_cast<std::size_t>(f_.o))};
      for (std::size_t i = 0; i < l.dy.size(); ++i) {
        const std::size_t o = i % db.value.size();
        db.value[o] += l.dy[i];
        if (f_.values == Values::normal)
          db.bound[o] += 66 * u32 * std::abs(l.dy[i]);  // f32 over 64 pixels, then double
      }
      compare("dbias", grads[2], {f_.o}, DType::f32, db);
    }
  }

  /// Statistics with which folding is exact: factor gamma, shift beta - gamma mean.
  void folded() {
    const Layer l = layer();
    const Shape channels{f_.o};
    const std::int64_t hidden = 2;
    const Numbers gamma = draw(channels, DType::f32), beta = draw(channels, DType::f32),
                  mean = draw(channels, DType::f32);
    const ops::RunningStats running{input(channels, mean),
                                    input(channels, Numbers(gamma.size(), 1.0))};
    const Tensor tgamma = input(channels, gamma), tbeta = input(channels, beta);
    Numbers reduce, reduce_bias, gates, shortcut;
    Tensor treduce, treduce_bias, tgates, tshortcut;
    if (f_.gates) {
      treduce = input({hidden, f_.o}, reduce = draw({hidden, f_.o}, DType::f32));
      treduce_bias = input({hidden}, reduce_bias = draw({hidden}, DType::f32));
      tgates = input({f_.n, f_.o}, gates = draw({f_.n, f_.o}, DType::f32));
    }
    if (f_.shortcut) tshortcut = input(f_.y(), shortcut = draw(f_.y(), f_.type), f_.type);

    // The layer as one convolution with a bias.
    Layer one = l;
    Numbers shift(gamma.size());
    const std::size_t each = l.w.size() / gamma.size();
    for (std::size_t o = 0; o < gamma.size(); ++o) {
      for (std::size_t i = o * each; i < (o + 1) * each; ++i) {
        one.w[i] *= gamma[o];
        if (f_.type == DType::bf16)
          one.w[i] = round_to_bf16(one.w[i]);
        else
          one.w[i] = static_cast<float>(one.w[i]);
      }
      shift[o] =
          static_cast<float>(beta[o] + gamma[o] * ((l.bias.empty() ? 0.0 : l.bias[o]) - mean[o]));
    }
    const Sums sums = forward_sums(one);
    Expected y = finished(sums, shift, gates, shortcut, f_.relu);
    if (f_.gates) allow_two_steps(y, sums, shift, gates, shortcut);

    ops::FoldedConv conv;
    conv.fold({.weight = l.tw,
               .version = 1,
               .bias = l.tbias,
               .spec = f_.spec,
               .gamma = tgamma,
               .beta = tbeta,
               .running = running,
               .eps = 0,
               .reduce = treduce,
               .reduce_version = 1,
               .reduce_bias = treduce_bias});
    const ops::FoldedConv::Gate gate = [&](const Tensor&, const Tensor&, const Tensor&) {
      return tgates;
    };
    compare("the folded layer",
            conv(l.tx, f_.gates ? gate : ops::FoldedConv::Gate{}, tshortcut, f_.relu), f_.y(),
            f_.type, y);
  }

  /// Where gates are applied in a second pass over the stored map, bf16 rounds twice.
  void allow_two_steps(Expected& y, const Sums& sums, const Numbers& shift, const Numbers& gates,
                       const Numbers& shortcut) const {
    if (f_.type != DType::bf16) return;
    const std::size_t o = static_cast<std::size_t>(f_.o),
                      image = y.value.size() / static_cast<std::size_t>(f_.n);
    for (std::size_t i = 0; i < y.value.size(); ++i) {
      const double gated =
          std::abs(gates[i / image * o + i % o]) *
          (std::abs(sums.expected.value[i] + shift[i % o]) + sums.expected.bound[i]);
      y.bound[i] += 2 * u16 * (gated + (shortcut.empty() ? 0 : std::abs(shortcut[i])));
    }
  }

  /// The same bits as its parts one after another.
  void norm_relu() {
    const Layer l = layer();
    const Shape channels{f_.c};
    const Tensor gamma = input(channels, draw(channels, DType::f32)),
                 beta = input(channels, draw(channels, DType::f32));
    const ops::NormReluConv op{.tail = {}, .conv = {.spec = f_.spec}};
    ops::NormReluConv::Saved saved;
    const Tensor y = op.forward(saved, l.tx, gamma, beta, {}, {}, {}, {}, l.tw);
    const Grads<8> grads =
        op.backward(saved, l.tdy.clone(), {true, true, true, false, false, false, false, true});
    ops::ResidualTail::Saved tail;
    ops::Conv2d::Saved behind;
    const Tensor h = op.tail.forward(tail, l.tx, gamma, beta, {}, {}, {}, {}, {});
    same_bits("y of norm, ReLU and convolution, in one and one by one,", y,
              op.conv.forward(behind, h, l.tw, {}));
    Grads<3> of_conv = op.conv.backward(behind, l.tdy.clone(), {true, true, false});
    const Grads<8> of_tail = op.tail.backward(
        tail, std::move(of_conv[0]), {true, true, true, false, false, false, false, false});
    for (std::size_t i = 0; i < 3; ++i)
      same_bits("a gradient of the norm, in one operator and two,", grads[i], of_tail[i]);
    same_bits("dw, in one operator and two,", grads[7], of_conv[1]);
  }

  void same_bits(std::string_view what, const Tensor& got, const Tensor& expected) {
    const char* a = static_cast<const char*>(got.raw());
    const char* b = static_cast<const char*>(expected.raw());
    if (got.shape() != expected.shape() || got.dtype() != expected.dtype() ||
        !std::equal(a, a + got.bytes(), b))
      found_ << what << " has other bits: " << got << ", expected " << expected << '\n';
  }

  const Form& f_;
  const MakeSubject& make_;
  GuardedMemory memory_;
  Generator rng_;
  std::ostringstream found_;
};

}  // namespace

std::string check_form(const Form& form, const MakeSubject& make) {
  set_num_threads(form.threads);
  return Check(form, make).run();
}

}  // namespace exciton::sweep
