#include "exciton/interop/onnx/interpreter.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/interop/weight_file.hpp"

namespace exciton::interop::onnx {
namespace {

using Ints = std::vector<std::int64_t>;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::int64_t product(const Ints& shape) { return elements_of(shape, "onnx"); }

/// c [m, n] += a [m, k] b [k, n]; a row of c begins `row_of_c` behind the one before.
void multiply(const float* a, const float* b, float* c, std::int64_t m, std::int64_t k,
              std::int64_t n, std::int64_t row_of_c) {
  parallel_for(m, std::max<std::int64_t>(1, (1 << 16) / std::max<std::int64_t>(1, k * n)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i)
                   for (std::int64_t l = 0; l < k; ++l) {
                     const float factor = a[i * k + l];
                     const float* row = b + l * n;
                     float* to = c + i * row_of_c;
#pragma omp simd
                     for (std::int64_t j = 0; j < n; ++j) to[j] += factor * row[j];
                   }
               });
}

/// The attributes of a node; all must be asked for.
class Attributes {
 public:
  explicit Attributes(const Node& node) : node_(node) {}
  Ints list(const std::string& name, const Ints& otherwise) {
    const Attribute* found = take(name);
    return found ? std::get<Ints>(*found) : otherwise;
  }
  std::int64_t integer(const std::string& name, std::int64_t otherwise) {
    const Attribute* found = take(name);
    return found ? std::get<std::int64_t>(*found) : otherwise;
  }
  float real(const std::string& name, float otherwise) {
    const Attribute* found = take(name);
    return found ? std::get<float>(*found) : otherwise;
  }
  void finish() const {
    for (const auto& [name, value] : node_.attributes)
      check(asked_.contains(name), "onnx: ", node_.type, ": the attribute ", name,
            " is not known here");
  }

 private:
  const Attribute* take(const std::string& name) {
    asked_.insert(name);
    const auto found = node_.attributes.find(name);
    return found == node_.attributes.end() ? nullptr : &found->second;
  }
  const Node& node_;
  std::set<std::string> asked_;
};

/// Windows along one axis.
struct Axis {
  std::int64_t in, kernel, stride, before, after, dilation, out;
  std::int64_t first(std::int64_t o) const { return o * stride - before; }
};
Axis axis(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t before,
          std::int64_t after, std::int64_t dilation, bool ceil) {
  const std::int64_t room = in + before + after - ((kernel - 1) * dilation + 1);
  check(room >= 0, "onnx: a window of ", kernel, " does not fit into ", in, " pixels");
  std::int64_t out = (room + (ceil ? stride - 1 : 0)) / stride + 1;
  // No window begins in the padding behind (ONNX Runtime since 1.18, PyTorch).
  if (ceil && (out - 1) * stride >= in + before) --out;
  return {in, kernel, stride, before, after, dilation, out};
}

class Machine {
 public:
  Machine(const std::filesystem::path& path, const FileModel& model)
      : file_(path, File::Mode::read, "onnx"), model_(model) {}

  std::vector<Array> run(const Array& input) {
    check(model_.inputs.size() == 1, "onnx: a graph of ", model_.inputs.size(),
          " inputs, one is run");
    values_[model_.inputs[0]] = input;
    for (std::size_t i = 0; i < model_.nodes.size(); ++i)
      for (const std::string& name : model_.nodes[i].inputs) last_[name] = i;
    for (std::size_t i = 0; i < model_.nodes.size(); ++i) {
      const Node& node = model_.nodes[i];
      check(node.outputs.size() == 1, "onnx: ", node.type, " with ", node.outputs.size(),
            " outputs");
      now_ = i;
      Array out = execute(node);
      for (const std::string& name : node.inputs)
        if (last_[name] == i && std::ranges::count(model_.outputs, name) == 0) values_.erase(name);
      values_[node.outputs[0]] = std::move(out);
    }
    std::vector<Array> out;
    for (const std::string& name : model_.outputs) {
      check(values_.contains(name), "onnx: nothing makes the output ", name);
      out.push_back(values_.at(name));
    }
    return out;
  }

 private:
  bool given(const Node& node, std::size_t i) const {
    return i < node.inputs.size() && !node.inputs[i].empty();
  }

  /// A value, or a constant out of the file.
  Array input(const Node& node, std::size_t i) {
    check(given(node, i), "onnx: ", node.type, " without its input ", i);
    const std::string& name = node.inputs[i];
    if (const auto found = values_.find(name); found != values_.end()) {
      const bool last = last_.at(name) == now_ && std::ranges::count(node.inputs, name) == 1 &&
                        std::ranges::count(model_.outputs, name) == 0;
      return last ? std::move(found->second) : found->second;
    }
    const auto found = model_.constants.find(name);
    check(found != model_.constants.end(), "onnx: ", node.type, " reads ", name,
          ", which nothing makes");
    const FileModel::Constant& c = found->second;
    check(c.type == 1 && c.bytes == static_cast<std::uint64_t>(product(c.shape)) * 4,
          "onnx: ", name, ": expected f32 ", shape_text(c.shape));
    Array out{c.shape, std::vector<float>(at(product(c.shape)))};
    file_.read(c.offset, out.values.data(), out.values.size() * 4);
    return out;
  }
  Ints integers(const Node& node, std::size_t i) {
    const auto found = model_.constants.find(given(node, i) ? node.inputs[i] : "");
    check(found != model_.constants.end() && found->second.type == 7, "onnx: ", node.type,
          ": its input ", i, " is no constant of integers");
    const FileModel::Constant& c = found->second;
    Ints out(at(product(c.shape)));
    check(c.bytes == out.size() * 8, "onnx: ", node.inputs[i], ": has ", c.bytes, " bytes");
    file_.read(c.offset, out.data(), out.size() * 8);
    return out;
  }

  Array execute(const Node& node) {
    Attributes attributes(node);
    Array out = compute(node, attributes);
    attributes.finish();
    return out;
  }

  Array compute(const Node& node, Attributes& a) {
    const std::string& type = node.type;
    if (type == "Conv") return conv(node, a);
    if (type == "BatchNormalization") return batch_norm(node, a);
    if (type == "MaxPool" || type == "AveragePool") return pool(node, a, type == "MaxPool");
    if (type == "GlobalAveragePool" || type == "GlobalMaxPool")
      return global_pool(node, type == "GlobalMaxPool");
    if (type == "Gemm") return gemm(node, a);
    if (type == "Add" || type == "Mul") return pairwise(node, type == "Add");
    if (type == "Relu") return each(node, [](float x) { return x > 0 || std::isnan(x) ? x : 0.f; });
    if (type == "Sigmoid") return each(node, [](float x) { return 1 / (1 + std::exp(-x)); });
    if (type == "Erf") return each(node, [](float x) { return std::erf(x); });
    if (type == "Tanh") return each(node, [](float x) { return std::tanh(x); });
    if (type == "HardSigmoid") {
      const float alpha = a.real("alpha", 0.2f), beta = a.real("beta", 0.5f);
      return each(node, [&](float x) { return std::clamp(alpha * x + beta, 0.f, 1.f); });
    }
    if (type == "Flatten") {
      Array x = input(node, 0);
      const std::int64_t axis = a.integer("axis", 1);
      const Ints front(x.shape.begin(), x.shape.begin() + axis),
          back(x.shape.begin() + axis, x.shape.end());
      x.shape = {product(front), product(back)};
      return x;
    }
    if (type == "Reshape") return reshape(node, a);
    if (type == "Concat") return concat(node, a.integer("axis", 0));
    if (type == "Gather") return gather(node, a.integer("axis", 0));
    if (type == "Slice") return slice(node);
    if (type == "Pad") return pad(node);
    fail("onnx: no node ", type, " is known here");
  }

  template <class F>
  Array each(const Node& node, F f) {
    Array x = input(node, 0);
    for (float& v : x.values) v = f(v);
    return x;
  }

  Array conv(const Node& node, Attributes& a) {
    const Array x = input(node, 0), w = input(node, 1);
    const std::size_t dims = x.shape.size() - 2;
    check((dims == 1 || dims == 2) && w.shape.size() == x.shape.size(), "onnx: Conv of ",
          shape_text(x.shape), " with ", shape_text(w.shape));
    const Ints strides = a.list("strides", Ints(dims, 1)), pads = a.list("pads", Ints(2 * dims, 0)),
               dilations = a.list("dilations", Ints(dims, 1));
    const std::int64_t groups = a.integer("group", 1);
    const Ints kernel = a.list("kernel_shape", Ints(w.shape.begin() + 2, w.shape.end()));
    check(std::ranges::equal(kernel, Ints(w.shape.begin() + 2, w.shape.end())),
          "onnx: Conv: kernel_shape is not that of its weights");
    const bool flat = dims == 1;  // as two, of height 1
    const Axis rows =
        flat ? Axis{1, 1, 1, 0, 0, 1, 1}
             : axis(x.shape[2], kernel[0], strides[0], pads[0], pads[2], dilations[0], false);
    const std::size_t c = dims - 1;
    const Axis columns =
        axis(x.shape.back(), kernel[c], strides[c], pads[c], pads[c + dims], dilations[c], false);
    const std::int64_t n = x.shape[0], in = x.shape[1], out = w.shape[0], per_in = in / groups,
                       per_out = out / groups;
    check(w.shape[1] * groups == in && out % groups == 0, "onnx: Conv: ", shape_text(w.shape),
          " in ", groups, " groups does not read ", in, " channels");
    const std::int64_t pixels = rows.out * columns.out,
                       taps = per_in * rows.kernel * columns.kernel;
    Array y{flat ? Ints{n, out, columns.out} : Ints{n, out, rows.out, columns.out},
            std::vector<float>(at(n * out * pixels))};
    if (given(node, 2)) {
      const Array bias = input(node, 2);
      for (std::int64_t i = 0; i < n * out; ++i)
        std::fill_n(y.values.begin() + i * pixels, pixels, bias.values[at(i % out)]);
    }
    // What the pixels of a few rows see, as columns of a matrix.
    const std::int64_t band =
        std::clamp<std::int64_t>((1 << 20) / (taps * columns.out), 1, rows.out);
    std::vector<float> matrix;
    for (std::int64_t image = 0; image < n; ++image)
      for (std::int64_t g = 0; g < groups; ++g)
        for (std::int64_t top = 0; top < rows.out; top += band) {
          const std::int64_t bottom = std::min(rows.out, top + band),
                             seen = (bottom - top) * columns.out;
          matrix.assign(at(taps * seen), 0.f);
          for (std::int64_t t = 0; t < taps; ++t) {
            const std::int64_t channel = t / (rows.kernel * columns.kernel),
                               kh = t / columns.kernel % rows.kernel, kw = t % columns.kernel;
            const float* map =
                x.values.data() + (image * in + g * per_in + channel) * rows.in * columns.in;
            for (std::int64_t oh = top; oh < bottom; ++oh) {
              const std::int64_t h = rows.first(oh) + kh * rows.dilation;
              if (h < 0 || h >= rows.in) continue;
              for (std::int64_t ow = 0; ow < columns.out; ++ow) {
                const std::int64_t col = columns.first(ow) + kw * columns.dilation;
                if (col >= 0 && col < columns.in)
                  matrix[at(t * seen + (oh - top) * columns.out + ow)] = map[h * columns.in + col];
              }
            }
          }
          multiply(w.values.data() + g * per_out * taps, matrix.data(),
                   y.values.data() + (image * out + g * per_out) * pixels + top * columns.out,
                   per_out, taps, seen, pixels);
        }
    return y;
  }

  Array batch_norm(const Node& node, Attributes& a) {
    Array x = input(node, 0);
    const Array scale = input(node, 1), bias = input(node, 2), mean = input(node, 3),
                var = input(node, 4);
    const double epsilon = static_cast<double>(a.real("epsilon", 1e-5f));
    const std::int64_t channels = x.shape[1],
                       pixels = std::ssize(x.values) / (x.shape[0] * channels);
    for (std::int64_t i = 0; i < x.shape[0] * channels; ++i) {
      const std::size_t c = at(i % channels);
      const double factor = static_cast<double>(scale.values[c]) /
                            std::sqrt(static_cast<double>(var.values[c]) + epsilon);
      for (std::int64_t p = 0; p < pixels; ++p) {
        float& v = x.values[at(i * pixels + p)];
        v = static_cast<float>((static_cast<double>(v) - static_cast<double>(mean.values[c])) *
                                   factor +
                               static_cast<double>(bias.values[c]));
      }
    }
    return x;
  }

  Array pool(const Node& node, Attributes& a, bool maximum) {
    const Array x = input(node, 0);
    const Ints kernel = a.list("kernel_shape", {}), strides = a.list("strides", {1, 1}),
               pads = a.list("pads", {0, 0, 0, 0});
    const bool ceil = a.integer("ceil_mode", 0) != 0,
               counts_pad = !maximum && a.integer("count_include_pad", 0) != 0;
    check(x.shape.size() == 4 && kernel.size() == 2, "onnx: ", node.type, " of ",
          shape_text(x.shape));
    const Axis rows = axis(x.shape[2], kernel[0], strides[0], pads[0], pads[2], 1, ceil),
               columns = axis(x.shape[3], kernel[1], strides[1], pads[1], pads[3], 1, ceil);
    Array y{{x.shape[0], x.shape[1], rows.out, columns.out}, {}};
    for (std::int64_t map = 0; map < x.shape[0] * x.shape[1]; ++map)
      for (std::int64_t oh = 0; oh < rows.out; ++oh)
        for (std::int64_t ow = 0; ow < columns.out; ++ow) {
          float highest = -std::numeric_limits<float>::infinity();
          double sum = 0;
          std::int64_t count = 0;
          for (std::int64_t h = rows.first(oh); h < rows.first(oh) + rows.kernel; ++h)
            for (std::int64_t col = columns.first(ow); col < columns.first(ow) + columns.kernel;
                 ++col) {
              const bool inside = h >= 0 && h < rows.in && col >= 0 && col < columns.in;
              // What ceil_mode hangs over is no padding, and counts nowhere.
              const bool padding = h < rows.in + rows.after && col < columns.in + columns.after;
              count += inside || (counts_pad && padding);
              if (!inside) continue;
              const float v = x.values[at((map * rows.in + h) * columns.in + col)];
              highest = std::max(highest, v);
              sum += static_cast<double>(v);
            }
          y.values.push_back(maximum ? highest
                                     : static_cast<float>(sum / static_cast<double>(count)));
        }
    return y;
  }

  Array global_pool(const Node& node, bool maximum) {
    const Array x = input(node, 0);
    Array y{{x.shape[0], x.shape[1]}, {}};
    y.shape.resize(x.shape.size(), 1);
    const std::int64_t pixels = std::ssize(x.values) / (x.shape[0] * x.shape[1]);
    for (std::int64_t map = 0; map < x.shape[0] * x.shape[1]; ++map) {
      const auto begin = x.values.begin() + map * pixels;
      double sum = 0;
      for (auto v = begin; v < begin + pixels; ++v) sum += static_cast<double>(*v);
      y.values.push_back(maximum ? *std::max_element(begin, begin + pixels)
                                 : static_cast<float>(sum / static_cast<double>(pixels)));
    }
    return y;
  }

  Array gemm(const Node& node, Attributes& attributes) {
    const Array a = input(node, 0);
    const bool transposed = attributes.integer("transB", 0) != 0;
    check(attributes.integer("transA", 0) == 0 && attributes.real("alpha", 1) == 1 &&
              attributes.real("beta", 1) == 1,
          "onnx: Gemm of a form that is not known here");
    std::vector<float> bias;
    if (given(node, 2)) bias = input(node, 2).values;
    Array y{{a.shape[0], 0}, {}};
    // y [m, n]; `rows` are n' of b' [n, k] from row `first` on.
    const auto add_rows = [&](std::span<const float> rows, std::int64_t first) {
      const std::int64_t k = a.shape[1], n = y.shape[1], count = std::ssize(rows) / k;
      parallel_for(count, 16, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = 0; i < a.shape[0]; ++i)
          for (std::int64_t j = begin; j < end; ++j) {
            double sum = bias.empty() ? 0 : static_cast<double>(bias[at(first + j)]);
            for (std::int64_t l = 0; l < k; ++l)
              sum += static_cast<double>(a.values[at(i * k + l)]) *
                     static_cast<double>(rows[at(j * k + l)]);
            y.values[at(i * n + first + j)] = static_cast<float>(sum);
          }
      });
    };
    const auto begin = [&](const Ints& b) {
      check(a.shape.size() == 2 && b.size() == 2 && b[transposed ? 1 : 0] == a.shape[1],
            "onnx: Gemm of ", shape_text(a.shape), " and ", shape_text(b));
      y.shape[1] = b[transposed ? 0 : 1];
      y.values.resize(at(y.shape[0] * y.shape[1]));
    };
    if (const auto found = model_.constants.find(node.inputs[1]);
        transposed && found != model_.constants.end()) {
      // The largest weights of all may be these: they are read a few rows at a time.
      const FileModel::Constant& b = found->second;
      begin(b.shape);
      check(b.type == 1 && b.bytes == static_cast<std::uint64_t>(product(b.shape)) * 4,
            "onnx: ", found->first, ": expected f32 ", shape_text(b.shape));
      const std::int64_t k = b.shape[1],
                         step = std::max<std::int64_t>(1, (1 << 20) / std::max<std::int64_t>(1, k));
      std::vector<float> rows;
      for (std::int64_t first = 0; first < b.shape[0]; first += step) {
        rows.resize(at(std::min(step, b.shape[0] - first) * k));
        file_.read(b.offset + static_cast<std::uint64_t>(first * k) * 4, rows.data(),
                   rows.size() * 4);
        add_rows(rows, first);
      }
      return y;
    }
    const Array b = input(node, 1);
    begin(b.shape);
    if (transposed) {
      add_rows(b.values, 0);
      return y;
    }
    const std::int64_t k = b.shape[0], n = b.shape[1];
    std::vector<float> turned(b.values.size());
    for (std::int64_t l = 0; l < k; ++l)
      for (std::int64_t j = 0; j < n; ++j) turned[at(j * k + l)] = b.values[at(l * n + j)];
    add_rows(turned, 0);
    return y;
  }

  /// Shapes are aligned at their ends; an extent of one is repeated.
  Array pairwise(const Node& node, bool add) {
    const Array a = input(node, 0), b = input(node, 1);
    const std::size_t rank = std::max(a.shape.size(), b.shape.size());
    Array y{Ints(rank, 1), {}};
    Ints stride_a(rank, 0), stride_b(rank, 0);
    const auto extent = [&](const Array& x, std::size_t axis) {
      return axis + x.shape.size() < rank ? 1 : x.shape[axis + x.shape.size() - rank];
    };
    std::int64_t step_a = 1, step_b = 1;
    for (std::size_t axis = rank; axis-- > 0;) {
      const std::int64_t of_a = extent(a, axis), of_b = extent(b, axis);
      check(of_a == of_b || of_a == 1 || of_b == 1, "onnx: ", node.type, " of ",
            shape_text(a.shape), " and ", shape_text(b.shape));
      y.shape[axis] = std::max(of_a, of_b);
      stride_a[axis] = of_a == 1 ? 0 : step_a;
      stride_b[axis] = of_b == 1 ? 0 : step_b;
      step_a *= of_a;
      step_b *= of_b;
    }
    y.values.resize(at(product(y.shape)));
    for (std::int64_t i = 0; i < std::ssize(y.values); ++i) {
      std::int64_t rest = i, from_a = 0, from_b = 0;
      for (std::size_t axis = rank; axis-- > 0;) {
        from_a += rest % y.shape[axis] * stride_a[axis];
        from_b += rest % y.shape[axis] * stride_b[axis];
        rest /= y.shape[axis];
      }
      const float p = a.values[at(from_a)], q = b.values[at(from_b)];
      y.values[at(i)] = add ? p + q : p * q;
    }
    return y;
  }

  Array reshape(const Node& node, Attributes& a) {
    check(a.integer("allowzero", 0) == 0, "onnx: Reshape with allowzero");
    Array x = input(node, 0);
    Ints shape = integers(node, 1);
    std::int64_t known = 1, open = -1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 0) shape[i] = x.shape.at(i);
      if (shape[i] < 0)
        open = static_cast<std::int64_t>(i);
      else
        known *= shape[i];
    }
    if (open >= 0) shape[at(open)] = std::ssize(x.values) / known;
    check(product(shape) == std::ssize(x.values), "onnx: Reshape of ", shape_text(x.shape), " to ",
          shape_text(shape));
    x.shape = shape;
    return x;
  }

  /// [outer, extent of the axis, inner]
  struct Split {
    std::int64_t outer = 1, extent = 1, inner = 1;
  };
  static Split split(const Ints& shape, std::int64_t axis) {
    Split out;
    for (std::int64_t i = 0; i < std::ssize(shape); ++i)
      (i < axis ? out.outer : i == axis ? out.extent : out.inner) *= shape[at(i)];
    return out;
  }

  Array concat(const Node& node, std::int64_t axis) {
    std::vector<Array> parts;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) parts.push_back(input(node, i));
    Array y{parts[0].shape, {}};
    y.shape[at(axis)] = 0;
    for (const Array& part : parts) y.shape[at(axis)] += part.shape[at(axis)];
    for (std::int64_t o = 0; o < split(y.shape, axis).outer; ++o)
      for (const Array& part : parts) {
        const Split s = split(part.shape, axis);
        check(s.inner == split(y.shape, axis).inner, "onnx: Concat of ", shape_text(part.shape),
              " into ", shape_text(y.shape));
        y.values.insert(y.values.end(), part.values.begin() + o * s.extent * s.inner,
                        part.values.begin() + (o + 1) * s.extent * s.inner);
      }
    return y;
  }

  Array gather(const Node& node, std::int64_t axis) {
    const Array x = input(node, 0);
    const Ints places = integers(node, 1);
    const Split s = split(x.shape, axis);
    Array y{x.shape, {}};
    y.shape[at(axis)] = std::ssize(places);
    for (std::int64_t o = 0; o < s.outer; ++o)
      for (const std::int64_t place : places) {
        check(place >= 0 && place < s.extent, "onnx: Gather from ", place, " of ", s.extent);
        const auto begin = x.values.begin() + (o * s.extent + place) * s.inner;
        y.values.insert(y.values.end(), begin, begin + s.inner);
      }
    return y;
  }

  Array slice(const Node& node) {
    Array x = input(node, 0);
    const Ints starts = integers(node, 1), ends = integers(node, 2), axes = integers(node, 3);
    const Ints steps = given(node, 4) ? integers(node, 4) : Ints(starts.size(), 1);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const Split s = split(x.shape, axes[i]);
      check(steps[i] > 0 && starts[i] >= 0, "onnx: Slice of a form that is not known here");
      Array y{x.shape, {}};
      y.shape[at(axes[i])] = 0;
      for (std::int64_t e = starts[i]; e < std::min(ends[i], s.extent); e += steps[i])
        ++y.shape[at(axes[i])];
      for (std::int64_t o = 0; o < s.outer; ++o)
        for (std::int64_t e = starts[i]; e < std::min(ends[i], s.extent); e += steps[i]) {
          const auto begin = x.values.begin() + (o * s.extent + e) * s.inner;
          y.values.insert(y.values.end(), begin, begin + s.inner);
        }
      x = std::move(y);
    }
    return x;
  }

  Array pad(const Node& node) {
    Array x = input(node, 0);
    const Ints pads = integers(node, 1);
    check(pads.size() == 2 * x.shape.size(), "onnx: Pad of ", shape_text(x.shape), " by ",
          pads.size(), " numbers");
    for (std::size_t axis = 0; axis < x.shape.size(); ++axis) {
      const std::int64_t before = pads[axis], after = pads[axis + x.shape.size()];
      check(before >= 0 && after >= 0, "onnx: Pad by less than nothing");
      if (before + after == 0) continue;
      const Split s = split(x.shape, static_cast<std::int64_t>(axis));
      Array y{x.shape, {}};
      y.shape[axis] += before + after;
      for (std::int64_t o = 0; o < s.outer; ++o) {
        y.values.resize(y.values.size() + at(before * s.inner));
        const auto begin = x.values.begin() + o * s.extent * s.inner;
        y.values.insert(y.values.end(), begin, begin + s.extent * s.inner);
        y.values.resize(y.values.size() + at(after * s.inner));
      }
      x = std::move(y);
    }
    return x;
  }

  File file_;
  const FileModel& model_;
  std::map<std::string, Array> values_;
  std::map<std::string, std::size_t> last_;  ///< node that reads a value last
  std::size_t now_ = 0;                      ///< node that runs
};

}  // namespace

std::vector<Array> run(const std::filesystem::path& path, const FileModel& model,
                       const Array& input) {
  return Machine(path, model).run(input);
}

}  // namespace exciton::interop::onnx
