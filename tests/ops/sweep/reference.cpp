#include "sweep/reference.hpp"

namespace exciton::sweep {
namespace {

/// y += a x
void add_scaled(std::int64_t count, double a, const double* x, double* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += a * x[i];
}

/// Channels of a group, and weights laid out so that the innermost loop of every direction runs
/// along memory.
struct Layout {
  std::int64_t groups, cg, og, oh, ow;
  explicit Layout(const Form& f)
      : groups(f.spec.groups), cg(f.c / groups), og(f.o / groups), oh(f.y()[1]), ow(f.y()[2]) {}

  /// f(pixel of x, pixel of y, tap) for every pair that meets, in pixels of the whole batch.
  template <class F>
  void each_meeting(const Form& form, const F& f) const {
    const ops::ConvSpec& s = form.spec;
    for (std::int64_t n = 0; n < form.n; ++n)
      for (std::int64_t i = 0; i < oh; ++i)
        for (std::int64_t a = 0; a < form.kh; ++a) {
          const std::int64_t row = i * s.stride - s.padding + a * s.dilation;
          if (row < 0 || row >= form.h) continue;
          for (std::int64_t j = 0; j < ow; ++j)
            for (std::int64_t b = 0; b < form.kw; ++b) {
              const std::int64_t column = j * s.stride - s.row_padding() + b * s.dilation;
              if (column < 0 || column >= form.w) continue;
              f((n * form.h + row) * form.w + column, (n * oh + i) * ow + j, a * form.kw + b);
            }
        }
  }

  /// Of weight [O, C/groups, kH, kW] to [tap][group][c][o] or [tap][group][o][c], and back.
  std::int64_t by_input(std::int64_t tap, std::int64_t group, std::int64_t c) const {
    return ((tap * groups + group) * cg + c) * og;
  }
  std::int64_t by_output(std::int64_t tap, std::int64_t group, std::int64_t o) const {
    return ((tap * groups + group) * og + o) * cg;
  }
  template <class F>
  void each_weight(const Form& form, const F& f) const {
    const std::int64_t taps = form.kh * form.kw;
    std::int64_t plain = 0;
    for (std::int64_t g = 0; g < groups; ++g)
      for (std::int64_t o = 0; o < og; ++o)
        for (std::int64_t c = 0; c < cg; ++c)
          for (std::int64_t tap = 0; tap < taps; ++tap) f(plain++, tap, g, c, o);
  }
};

}  // namespace

Numbers reference_forward(const Form& f, const Numbers& x, const Numbers& w) {
  const Layout l(f);
  Numbers turned(w.size()), y(static_cast<std::size_t>(f.y().numel()));
  l.each_weight(f, [&](auto plain, auto tap, auto g, auto c, auto o) {
    turned[l.by_input(tap, g, c) + o] = w[plain];
  });
  l.each_meeting(f, [&](std::int64_t from, std::int64_t to, std::int64_t tap) {
    for (std::int64_t g = 0; g < l.groups; ++g)
      for (std::int64_t c = 0; c < l.cg; ++c)
        add_scaled(l.og, x[from * f.c + g * l.cg + c], &turned[l.by_input(tap, g, c)],
                   &y[to * f.o + g * l.og]);
  });
  return y;
}

Numbers reference_backward_data(const Form& f, const Numbers& dy, const Numbers& w) {
  const Layout l(f);
  Numbers turned(w.size()), dx(static_cast<std::size_t>(f.x().numel()));
  l.each_weight(f, [&](auto plain, auto tap, auto g, auto c, auto o) {
    turned[l.by_output(tap, g, o) + c] = w[plain];
  });
  l.each_meeting(f, [&](std::int64_t to, std::int64_t from, std::int64_t tap) {
    for (std::int64_t g = 0; g < l.groups; ++g)
      for (std::int64_t o = 0; o < l.og; ++o)
        add_scaled(l.cg, dy[from * f.o + g * l.og + o], &turned[l.by_output(tap, g, o)],
                   &dx[to * f.c + g * l.cg]);
  });
  return dx;
}

Numbers reference_backward_weights(const Form& f, const Numbers& x, const Numbers& dy) {
  const Layout l(f);
  Numbers dw(static_cast<std::size_t>(f.weight().numel())), turned(dw.size());
  l.each_meeting(f, [&](std::int64_t in, std::int64_t out, std::int64_t tap) {
    for (std::int64_t g = 0; g < l.groups; ++g)
      for (std::int64_t c = 0; c < l.cg; ++c)
        add_scaled(l.og, x[in * f.c + g * l.cg + c], &dy[out * f.o + g * l.og],
                   &turned[l.by_input(tap, g, c)]);
  });
  l.each_weight(f, [&](auto plain, auto tap, auto g, auto c, auto o) {
    dw[plain] = turned[l.by_input(tap, g, c) + o];
  });
  return dw;
}

}  // namespace exciton::sweep
