#include "ops/convolution/direct.hpp"

#include <algorithm>

#include "core/threads.hpp"

namespace exciton::ops::direct {
namespace {

/// f(T{}) for the type of maps of this convolution.
template <class F>
void with_map_type(const ConvGeometry& g, const F& f) {
  if (g.dtype == DType::bf16)
    f(bf16{});
  else
    f(float{});
}

/// f(y pixel, first output, x pixel, first input, tap) for every pair of pixels of an image and
/// group that a tap joins.
template <class F>
void each_pair(const ConvGeometry& g, const F& f) {
  const ConvSpec& s = g.spec;
  for (std::int64_t i = 0; i < g.oh; ++i)
    for (std::int64_t j = 0; j < g.ow; ++j)
      for (std::int64_t a = 0; a < g.kh; ++a)
        for (std::int64_t b = 0; b < g.kw; ++b) {
          const std::int64_t r = i * s.stride - s.padding + a * s.dilation;
          const std::int64_t q = j * s.stride - s.row_padding() + b * s.dilation;
          if (r < 0 || r >= g.h || q < 0 || q >= g.w) continue;
          for (std::int64_t group = 0; group < s.groups; ++group)
            f(i * g.ow + j, group * (g.o / s.groups), r * g.w + q, group * (g.c / s.groups),
              a * g.kw + b);
        }
}

Tensor rounded(const Tensor& weights, const ConvGeometry& g) {
  return weights.to(g.dtype).to(DType::f32);
}

}  // namespace

void forward(const ConvGeometry& g, std::int64_t images, const Tensor& weights, const void* x,
             const float* bias, void* y, const EpilogueInputs& epilogue) {
  const Tensor packed = rounded(weights, g);
  const float* w = packed.data<float>();
  const std::int64_t cg = g.c / g.spec.groups, og = g.o / g.spec.groups, taps = g.kh * g.kw;
  Tensor all({images, g.y_image()});
  with_map_type(g, [&]<class T>(T) {
    parallel_for(images, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* xp = static_cast<const T*>(x) + n * g.x_image();
        float* sum = all.data<float>() + n * g.y_image();
        std::fill_n(sum, g.y_image(), 0.0F);
        each_pair(g, [&](auto to, auto o, auto from, auto c, auto tap) {
          for (std::int64_t k = o; k < o + og; ++k)
            for (std::int64_t l = 0; l < cg; ++l)
              sum[to * g.o + k] +=
                  static_cast<float>(xp[from * g.c + c + l]) * w[(k * cg + l) * taps + tap];
        });
        T* yp = static_cast<T*>(y) + n * g.y_image();
        const T* shortcut = static_cast<const T*>(epilogue.shortcut);
        for (std::int64_t e = 0; e < g.y_image(); ++e) {
          float v = sum[e] + (bias ? bias[e % g.o] : 0.0F);
          if (epilogue.gates) v *= epilogue.gates[n * g.o + e % g.o];
          if (shortcut) v += static_cast<float>(shortcut[n * g.y_image() + e]);
          yp[e] = static_cast<T>(g.epilogue.relu && v < 0 ? 0.0F : v);
        }
      }
    });
  });
}

void backward_data(const ConvGeometry& g, std::int64_t images, const Tensor& weights,
                   const void* dy, void* dx) {
  const Tensor packed = rounded(weights, g);
  const float* w = packed.data<float>();
  const std::int64_t cg = g.c / g.spec.groups, og = g.o / g.spec.groups, taps = g.kh * g.kw;
  Tensor all({images, g.x_image()});
  with_map_type(g, [&]<class T>(T) {
    parallel_for(images, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* dp = static_cast<const T*>(dy) + n * g.y_image();
        float* sum = all.data<float>() + n * g.x_image();
        std::fill_n(sum, g.x_image(), 0.0F);
        each_pair(g, [&](auto from, auto o, auto to, auto c, auto tap) {
          for (std::int64_t k = o; k < o + og; ++k)
            for (std::int64_t l = 0; l < cg; ++l)
              sum[to * g.c + c + l] +=
                  static_cast<float>(dp[from * g.o + k]) * w[(k * cg + l) * taps + tap];
        });
        T* xp = static_cast<T*>(dx) + n * g.x_image();
        for (std::int64_t e = 0; e < g.x_image(); ++e) xp[e] = static_cast<T>(sum[e]);
      }
    });
  });
}

Tensor backward_weights(const ConvGeometry& g, std::int64_t images, const Shape& weight_shape,
                        const void* x, const void* dy) {
  const std::int64_t cg = g.c / g.spec.groups, og = g.o / g.spec.groups, taps = g.kh * g.kw;
  Tensor dw = Tensor::zeros(weight_shape);
  float* sum = dw.data<float>();
  with_map_type(g, [&]<class T>(T) {
    for (std::int64_t n = 0; n < images; ++n) {
      const T* xp = static_cast<const T*>(x) + n * g.x_image();
      const T* dp = static_cast<const T*>(dy) + n * g.y_image();
      each_pair(g, [&](auto to, auto o, auto from, auto c, auto tap) {
        for (std::int64_t k = o; k < o + og; ++k)
          for (std::int64_t l = 0; l < cg; ++l)
            sum[(k * cg + l) * taps + tap] +=
                static_cast<float>(xp[from * g.c + c + l]) * static_cast<float>(dp[to * g.o + k]);
      });
    }
  });
  return dw;
}

}  // namespace exciton::ops::direct
