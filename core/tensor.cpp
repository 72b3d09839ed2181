#include "exciton/core/tensor.hpp"

#include <algorithm>
#include <cstring>

#include "exciton/core/threads.hpp"

namespace exciton {
namespace {

constexpr std::int64_t grain = 1 << 15;

template <class F>
decltype(auto) dispatch(DType type, F&& f) {
  switch (type) {
    case DType::f32:
      return f(float{});
    case DType::bf16:
      return f(bf16{});
    case DType::f64:
      return f(double{});
    case DType::i64:
      return f(std::int64_t{});
    case DType::u8:
      return f(std::uint8_t{});
  }
  fail("tensor: unknown element type");
}

template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<From, bf16>) {
    return convert<To>(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return bf16(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, std::uint8_t>) {
    // Outside of the range the language leaves the result open; here and below NaN fails, too.
    check(v > From{-1} && v < From{256}, "tensor: ", v, " does not fit into u8");
    return static_cast<To>(v);
  } else if constexpr (std::is_same_v<To, std::int64_t> && std::is_floating_point_v<From>) {
    check(v >= From{-0x1p63} && v < From{0x1p63}, "tensor: ", v, " does not fit into i64");
    return static_cast<To>(v);
  } else {
    return static_cast<To>(v);
  }
}

}  // namespace

DType parse_dtype(std::string_view text) {
  for (DType t : {DType::f32, DType::bf16, DType::f64, DType::i64, DType::u8})
    if (name_of(t) == text) return t;
  fail("dtype: \"", text, "\" is not one of f32, bf16, f64, i64, u8");
}

std::string Shape::str() const {
  std::ostringstream out;
  out << *this;
  return out.str();
}

Tensor::Tensor(const Shape& shape, DType type) : shape_(shape), dtype_(type) {
  std::int64_t bytes = 0;
  check(!__builtin_mul_overflow(shape.numel(), static_cast<std::int64_t>(size_of(type)), &bytes),
        "tensor: ", shape, " ", type, " has more bytes than there are addresses");
  storage_ = std::make_shared<Buffer>(static_cast<std::size_t>(bytes));
}

Tensor Tensor::over(void* memory, const Shape& shape, DType type, std::function<void()> release) {
  check(memory != nullptr || shape.numel() == 0, "tensor: no memory for ", shape, ' ', type);
  check(reinterpret_cast<std::uintptr_t>(memory) % size_of(type) == 0, "tensor: memory for ", shape,
        ' ', type, " is not aligned to ", size_of(type), " bytes");
  Tensor out;
  out.shape_ = shape;
  out.dtype_ = type;
  out.storage_ = std::make_shared<Buffer>(
      memory, static_cast<std::size_t>(shape.numel()) * size_of(type), std::move(release));
  return out;
}

Tensor Tensor::zeros(const Shape& shape, DType type) {
  Tensor t(shape, type);
  char* p = static_cast<char*>(t.raw());
  parallel_for(static_cast<std::int64_t>(t.bytes()), grain * 4,
               [&](std::int64_t a, std::int64_t b) {
                 std::memset(p + a, 0, static_cast<std::size_t>(b - a));
               });
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType type) {
  Tensor t(shape, type);
  t.fill(value);
  return t;
}

Tensor Tensor::from(const Shape& shape, const std::vector<double>& values, DType type) {
  check(static_cast<std::int64_t>(values.size()) == shape.numel(), "tensor: expected ",
        shape.numel(), " values for shape ", shape, ", got ", values.size());
  Tensor t(shape, type);
  for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
  return t;
}

Tensor Tensor::randn(const Shape& shape, Generator& generator, DType type) {
  check(is_floating(type), "randn: normal numbers are no ", type, "; expected f32, bf16 or f64");
  Tensor t(shape, type);
  for (std::int64_t i = 0; i < t.numel(); ++i) t.set(i, generator.normal());
  return t;
}

Tensor Tensor::rand(const Shape& shape, Generator& generator, double low, double high, DType type) {
  Tensor t(shape, type);
  for (std::int64_t i = 0; i < t.numel(); ++i)
    t.set(i, low + (high - low) * generator.uniform_double());
  return t;
}

Tensor Tensor::clone() const {
  if (empty()) return {};
  Tensor t(shape_, dtype_);
  const char* from = static_cast<const char*>(raw());
  char* to = static_cast<char*>(t.raw());
  parallel_for(static_cast<std::int64_t>(bytes()), grain * 4, [&](std::int64_t a, std::int64_t b) {
    std::memcpy(to + a, from + a, static_cast<std::size_t>(b - a));
  });
  return t;
}

Tensor Tensor::reshape(const Shape& shape) const {
  check(!empty(), "reshape: the tensor is empty, it cannot become ", shape);
  check(shape.numel() == shape_.numel(), "reshape: ", shape_, " has ", shape_.numel(),
        " elements, ", shape, " has ", shape.numel());
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::to(DType type) const {
  if (empty() || type == dtype_) return *this;
  Tensor t(shape_, type);
  dispatch(dtype_, [&](auto from) {
    using From = decltype(from);
    dispatch(type, [&](auto to) {
      using To = decltype(to);
      const From* p = data<From>();
      To* q = t.data<To>();
      parallel_for(numel(), grain, [&](std::int64_t a, std::int64_t b) {
        for (std::int64_t i = a; i < b; ++i) q[i] = convert<To>(p[i]);
      });
    });
  });
  return t;
}

double Tensor::at(std::int64_t index) const {
  check(index >= 0 && index < numel(), "tensor: element ", index, " of ", shape_);
  return dispatch(dtype_, [&](auto tag) { return convert<double>(data<decltype(tag)>()[index]); });
}

void Tensor::set(std::int64_t index, double value) {
  check(index >= 0 && index < numel(), "tensor: element ", index, " of ", shape_);
  dispatch(dtype_, [&](auto tag) {
    using T = decltype(tag);
    data<T>()[index] = convert<T>(value);
  });
}

double Tensor::item() const {
  check(numel() == 1, "tensor: item() expected one element, got ", numel(), ", shape ", shape_);
  return at(0);
}

void Tensor::fill(double value) {
  if (empty()) return;
  dispatch(dtype_, [&](auto tag) {
    using T = decltype(tag);
    std::fill_n(data<T>(), numel(), convert<T>(value));
  });
}

void Tensor::copy_from(const Tensor& source) {
  check(source.shape_ == shape_ && source.dtype_ == dtype_ && source.empty() == empty(),
        "tensor: copy of ", source.shape_, " ", source.dtype_, source.empty() ? " (empty)" : "",
        " into ", shape_, " ", dtype_, empty() ? " (empty)" : "");
  if (bytes() > 0) std::memcpy(raw(), source.raw(), bytes());
}

Tensor& Tensor::operator+=(const Tensor& other) {
  check(other.shape_ == shape_ && other.dtype_ == dtype_, "tensor: += of ", other.shape_, " ",
        other.dtype_, " to ", shape_, " ", dtype_);
  dispatch_float(dtype_, "tensor: +=", [&](auto tag) {
    using T = decltype(tag);
    T* a = data<T>();
    const T* b = other.data<T>();
    parallel_for(numel(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        a[i] = convert<T>(convert<Acc<T>>(a[i]) + convert<Acc<T>>(b[i]));
    });
  });
  return *this;
}

double dot(const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.empty() == b.empty(),
        "dot: expected two tensors of one shape, "
        "got ",
        a.shape(), a.empty() ? " (empty)" : "", " and ", b.shape(), b.empty() ? " (empty)" : "");
  double sum = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) sum += a.at(i) * b.at(i);
  return sum;
}

Tensor reuse_or_new(Tensor& candidate, const Shape& shape, DType type) {
  if (!candidate.empty() && !candidate.shared() && candidate.dtype() == type &&
      candidate.numel() == shape.numel()) {
    Tensor t = candidate.reshape(shape);
    candidate = Tensor();
    return t;
  }
  return Tensor(shape, type);
}

std::ostream& operator<<(std::ostream& out, const Tensor& t) {
  if (t.empty()) return out << "tensor (empty)";
  out << "tensor " << t.shape() << ' ' << t.dtype() << " {";
  const std::int64_t shown = std::min<std::int64_t>(t.numel(), 8);
  for (std::int64_t i = 0; i < shown; ++i) out << (i ? ", " : "") << t.at(i);
  return out << (t.numel() > shown ? ", ...}" : "}");
}

}  // namespace exciton
