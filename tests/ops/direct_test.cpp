// The own direct convolution against the plain twin in double, in every geometry: by itself,
// whatever EXCITON_CONV says, with unreadable pages around all it is given.
#include "exciton/ops/convolution/direct.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "exciton/core/threads.hpp"
#include "support.hpp"

namespace exciton::ops {
namespace {

/// A copy of a tensor's values that ends (or begins) at a page nobody may touch.
class Guarded {
 public:
  Guarded(const Tensor& values, bool at_end)
      : bytes_(values.bytes()),
        page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
        all_((bytes_ + page_ - 1) / page_ * page_ + 2 * page_),
        base_(static_cast<char*>(
            ::mmap(nullptr, all_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    check(base_ != MAP_FAILED, "test: no memory");
    ::mprotect(base_, page_, PROT_NONE);
    ::mprotect(base_ + all_ - page_, page_, PROT_NONE);
    values_ = at_end ? base_ + all_ - page_ - bytes_ : base_ + page_;
    std::memcpy(values_, values.raw(), bytes_);
  }
  ~Guarded() { ::munmap(base_, all_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  void* raw() { return values_; }
  Tensor tensor(const Shape& shape, DType type) const {
    Tensor t(shape, type);
    std::memcpy(t.raw(), values_, bytes_);
    return t;
  }

 private:
  std::size_t bytes_, page_, all_;
  char* base_;
  char* values_ = nullptr;
};

struct Form {
  std::int64_t images, h, w, c, o, kh, kw;
  ConvSpec spec{};
  Shape x() const { return {images, h, w, c}; }
  Shape weight() const { return {o, c / spec.groups, kh, kw}; }
};
std::ostream& operator<<(std::ostream& out, const Form& f) {
  return out << f.x() << " by " << f.weight() << ", stride " << f.spec.stride << ", padding "
             << f.spec.padding << " and " << f.spec.row_padding() << ", dilation "
             << f.spec.dilation << ", groups " << f.spec.groups;
}

/// What the plain twin makes of the same numbers in double, and the tensors it made it of.
struct Exact {
  Tensor x, w, bias, gates, shortcut, dy;
  Tensor y, dx, dw;  ///< y ends in its epilogue; all of double

  Exact(const Form& f, DType type, Generator& rng) {
    const Shape y_shape = conv2d_shape(f.x(), f.weight(), f.spec);
    x = Tensor::randn(f.x(), rng).to(type);
    w = Tensor::randn(f.weight(), rng).to(type).to(DType::f32);
    bias = Tensor::randn({f.o}, rng);
    gates = Tensor::rand({f.images, f.o}, rng);
    shortcut = Tensor::randn(y_shape, rng).to(type);
    dy = Tensor::randn(y_shape, rng).to(type);
  }
  void convolve(const Form& f) {
    const auto wide = [](const Tensor& t) { return t.to(DType::f64); };
    const Outcome r =
        run(Conv2d{.spec = f.spec, .plain = true}, {wide(x), wide(w), wide(bias)}, wide(dy));
    y = r.y.clone();
    dx = r.grads[0];
    dw = r.grads[1];
    const std::int64_t image = y.numel() / f.images;
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      const double v = y.at(i) * gates.at(i / image * f.o + i % f.o) + shortcut.at(i);
      y.set(i, v < 0 ? 0 : v);
    }
  }
};

/// As many elements the same NaN, infinity, or number, within what rounding to `type` leaves.
void expect_close(const Tensor& got, const Tensor& wanted, DType type, const char* what) {
  ASSERT_EQ(got.shape(), wanted.shape()) << what;
  double largest = 1;
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    if (std::isfinite(wanted.at(i))) largest = std::max(largest, std::abs(wanted.at(i)));
  for (std::int64_t i = 0; i < wanted.numel(); ++i) {
    const double g = got.at(i), e = wanted.at(i);
    if (!std::isfinite(e)) {
      ASSERT_TRUE(std::isnan(e) ? std::isnan(g) : g == e) << what << " " << i << ": " << g;
      continue;
    }
    const double rounding = type == DType::bf16 ? std::abs(e) / 256 : 0;
    ASSERT_NEAR(g, e, rounding + 1e-5 * largest) << what << " " << i;
  }
}

void expect_exact(const Form& f, const Exact& e, bool at_end = true) {
  const DType type = e.x.dtype();
  ConvGeometry g = geometry_of(f.x(), f.weight(), f.spec, type, true);
  g.epilogue = {true, true, true};
  Guarded x(e.x, at_end), bias(e.bias, at_end), gates(e.gates, at_end),
      shortcut(e.shortcut, at_end), dy(e.dy, at_end);
  Guarded y(Tensor::full(e.dy.shape(), 7, type), at_end), dx(Tensor::full(f.x(), 7, type), at_end);
  direct::forward(g, f.images, e.w, x.raw(), static_cast<const float*>(bias.raw()), y.raw(),
                  {static_cast<const float*>(gates.raw()), shortcut.raw()});
  expect_close(y.tensor(e.dy.shape(), type), e.y, type, "y");
  direct::backward_data(g, f.images, e.w, dy.raw(), dx.raw());
  expect_close(dx.tensor(f.x(), type), e.dx, type, "dx");
  expect_close(direct::backward_weights(g, f.images, f.weight(), x.raw(), dy.raw()), e.dw,
               DType::f32, "dw");
}

const std::vector<Form>& special_forms() {
  static const std::vector<Form> forms{
      {3, 9, 11, 3, 5, 7, 7, {.stride = 2, .padding = 3}},
      {2, 24, 24, 16, 16, 3, 3, {.padding = 1}},
      {1, 14, 14, 40, 33, 3, 3, {.padding = 1}},
      {5, 7, 7, 13, 16, 1, 1, {.stride = 2}},
      {1, 5, 5, 1, 1, 5, 5, {.padding = 4}},
      {2, 8, 8, 32, 32, 3, 3, {.padding = 1, .groups = 32}},
      {3, 11, 9, 37, 37, 5, 3, {.stride = 2, .padding = 2, .groups = 37, .padding_w = 1}},
      {2, 9, 9, 70, 70, 3, 3, {.stride = 3, .padding = 2, .dilation = 2, .groups = 70}},
      {2, 7, 6, 6, 18, 3, 3, {.padding = 1, .groups = 6}},
      {2, 6, 7, 32, 16, 3, 3, {.padding = 1, .groups = 8}},
      {1, 13, 13, 8, 8, 3, 3, {.stride = 3, .dilation = 4}},
      // Taps enough for several chunks, in one and in several rows of the window.
      {1, 6, 6, 260, 20, 3, 3, {.padding = 1}},
      {1, 7, 7, 500, 9, 2, 7, {.padding = 3}},
      // Rows and columns of x that no result sees, and phases without a tap.
      {2, 10, 10, 4, 4, 1, 1, {.stride = 3}},
      {1, 2, 5, 3, 4, 1, 1, {.stride = 4}},
      {1, 1, 1, 2, 3, 3, 3, {.padding = 1}},
      {1, 3, 3, 4, 100, 1, 1, {}},
      {1, 4, 4, 1, 300, 3, 3, {.padding = 1}},
  };
  return forms;
}

class DirectTypes : public testing::TestWithParam<DType> {};

TEST_P(DirectTypes, FollowsThePlainTwinInSpecialForms) {
  Generator rng(11);
  for (const Form& f : special_forms()) {
    SCOPED_TRACE(testing::Message() << f);
    Exact e(f, GetParam(), rng);
    e.convolve(f);
    expect_exact(f, e);
    expect_exact(f, e, false);
    if (HasFatalFailure()) return;
  }
}

TEST_P(DirectTypes, FollowsThePlainTwinInFormsByChance) {
  Generator rng(12);
  const auto pick = [&](std::int64_t from, std::int64_t to) {
    return from + static_cast<std::int64_t>(rng.uniform() * static_cast<double>(to - from + 1));
  };
  for (int round = 0; round < 150; ++round) {
    Form f{pick(1, 5), pick(1, 18), pick(1, 18), 0, 0, pick(1, 7), pick(1, 7), {}};
    f.spec = {.stride = pick(1, 3),
              .padding = pick(0, 4),
              .dilation = pick(1, 3),
              .groups = pick(0, 2) == 0 ? pick(2, 9) : 1,
              .padding_w = pick(-1, 4)};
    const bool depthwise = pick(0, 3) == 0;
    if (depthwise) f.spec.groups = pick(1, 65);
    f.c = f.spec.groups * (depthwise ? 1 : pick(1, 65 / f.spec.groups));
    f.o = f.spec.groups * (depthwise ? 1 : pick(1, 65 / f.spec.groups));
    const auto span = [&](std::int64_t k) { return f.spec.dilation * (k - 1) + 1; };
    if (f.h + 2 * f.spec.padding < span(f.kh) || f.w + 2 * f.spec.row_padding() < span(f.kw))
      continue;
    SCOPED_TRACE(testing::Message() << f);
    Exact e(f, GetParam(), rng);
    e.convolve(f);
    expect_exact(f, e, round % 2 == 0);
    if (HasFatalFailure()) return;
  }
}

TEST_P(DirectTypes, PassesNanAndInfinitiesAsThePlainTwinDoes) {
  for (const Form& f : special_forms())
    for (const double value : {static_cast<double>(NAN), static_cast<double>(INFINITY)})
      for (int where = 0; where < 3; ++where) {
        SCOPED_TRACE(testing::Message() << f << ", " << value << " in input " << where);
        Generator rng(13);
        Exact e(f, GetParam(), rng);
        Tensor& into = where == 0 ? e.x : where == 1 ? e.w : e.dy;
        into.set(0, value);  // at the border of the maps
        into.set(into.numel() / 2, value);
        e.convolve(f);
        expect_exact(f, e);
        if (HasFatalFailure()) return;
      }
}

INSTANTIATE_TEST_SUITE_P(Direct, DirectTypes, testing::Values(DType::f32, DType::bf16),
                         [](const auto& type) {
                           return std::string(type.param == DType::f32 ? "f32" : "bf16");
                         });

TEST(Direct, BitsDoNotDependOnThreads) {
  const int before = num_threads();
  const Form f{5, 13, 9, 24, 19, 3, 3, {.stride = 2, .padding = 1}};
  const ConvGeometry g = geometry_of(f.x(), f.weight(), f.spec, DType::f32, false);
  Generator rng(14);
  const Exact e(f, DType::f32, rng);
  Tensor one, one_weights;
  // Pieces of many lengths: full blocks of rows and rests must round alike.
  for (const int threads : {1, 2, 3, 4, 5, 7, 11}) {
    set_num_threads(threads);
    Tensor y(e.dy.shape());
    direct::forward(g, f.images, e.w, e.x.raw(), nullptr, y.raw());
    const Tensor dw = direct::backward_weights(g, f.images, f.weight(), e.x.raw(), e.dy.raw());
    if (one.empty()) one = y, one_weights = dw;
    EXPECT_TRUE(same_bits(one, y)) << threads;
    EXPECT_TRUE(same_bits(one_weights, dw)) << threads;
  }
  set_num_threads(before);
}

TEST(Direct, EveryThreadCountGivesTheSameNumbers) {
  const int before = num_threads();
  Generator rng(15);
  for (const int threads : {1, 3, 16}) {
    set_num_threads(threads);
    for (const Form& f : special_forms()) {
      SCOPED_TRACE(testing::Message() << f << ", " << threads << " threads");
      Exact e(f, DType::f32, rng);
      e.convolve(f);
      expect_exact(f, e);
    }
  }
  set_num_threads(before);
}

}  // namespace
}  // namespace exciton::ops
