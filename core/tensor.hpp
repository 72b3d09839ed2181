/// The one tensor: dense, row-major, 64-byte aligned, shared storage, no strides.
#pragma once
#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <vector>

#include "exciton/core/dtype.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/core/random.hpp"
#include "exciton/core/shape.hpp"

namespace exciton {

/// Copying a Tensor shares its storage; clone() copies the values. A default Tensor is empty: no
/// storage, and the stand-in for an absent optional input.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised storage for `shape`. Errors: more bytes than there are addresses, or than the
  /// system has.
  explicit Tensor(const Shape& shape, DType type = DType::f32);

  /// Over memory that somebody else owns, row-major: nothing is copied. `release`, which must not
  /// throw, is called when the last tensor that shares it is gone. Errors: no memory for elements,
  /// or memory that is not aligned to one; `release` is then never called.
  static Tensor over(void* memory, const Shape& shape, DType type,
                     std::function<void()> release = {});
  static Tensor zeros(const Shape& shape, DType type = DType::f32);
  static Tensor full(const Shape& shape, double value, DType type = DType::f32);
  /// Values in row-major order, converted to `type`. Errors: count differs from the shape, or as
  /// to().
  static Tensor from(const Shape& shape, const std::vector<double>& values,
                     DType type = DType::f32);
  /// Independent standard normal values.
  static Tensor randn(const Shape& shape, Generator& generator, DType type = DType::f32);
  /// Independent uniform values in [low, high).
  static Tensor rand(const Shape& shape, Generator& generator, double low = 0, double high = 1,
                     DType type = DType::f32);

  bool empty() const { return storage_ == nullptr; }
  explicit operator bool() const { return !empty(); }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int axis) const { return shape_[axis]; }
  int rank() const { return shape_.rank(); }
  std::int64_t numel() const { return empty() ? 0 : shape_.numel(); }
  DType dtype() const { return dtype_; }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype_); }
  /// True when another Tensor holds the same storage, or somebody else owns it, so writing here
  /// would be seen there.
  bool shared() const { return storage_.use_count() > 1 || (storage_ && storage_->foreign()); }
  bool same_storage(const Tensor& other) const { return storage_ && storage_ == other.storage_; }

  /// Typed access. Errors: T is not the element type, or the tensor is empty.
  template <class T>
  T* data() {
    check_type(dtype_of<T>);
    return static_cast<T*>(storage_->data());
  }
  template <class T>
  const T* data() const {
    check_type(dtype_of<T>);
    return static_cast<const T*>(storage_->data());
  }
  template <class T>
  std::span<T> span() {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  void* raw() { return storage_ ? storage_->data() : nullptr; }
  const void* raw() const { return storage_ ? storage_->data() : nullptr; }

  Tensor clone() const;
  /// The same storage under another shape. Errors: element counts differ, or there is no storage.
  Tensor reshape(const Shape& shape) const;
  /// Converted copy (the tensor itself, sharing storage, when the type already fits). Integers are
  /// rounded towards zero. Errors: a value outside of an integer type's range, or NaN, becomes i64
  /// or u8.
  Tensor to(DType type) const;
  /// One element as double (row-major index); for tests, logs and scalars, not for loops.
  double at(std::int64_t index) const;
  void set(std::int64_t index, double value);
  /// The only element. Errors: more than one.
  double item() const;
  void fill(double value);
  void copy_from(const Tensor& source);  ///< Errors: shape or type differ.
  /// this += other (same shape and type).
  Tensor& operator+=(const Tensor& other);

 private:
  void check_type(DType wanted) const {
    check(storage_ != nullptr, "tensor: access to an empty tensor");
    check(wanted == dtype_, "tensor: asked for ", wanted, " data, tensor ", shape_, " holds ",
          dtype_);
  }

  std::shared_ptr<Buffer> storage_;
  Shape shape_;
  DType dtype_ = DType::f32;
};

/// Sum over all elements of a*b in double; the scalar that gradient checks watch.
double dot(const Tensor& a, const Tensor& b);

/// A tensor of this shape and type: the storage of `candidate` when nobody else holds it and it
/// fits exactly, else a new one. `candidate` is left empty in the first case.
Tensor reuse_or_new(Tensor& candidate, const Shape& shape, DType type);

/// Shape, type and the first values.
std::ostream& operator<<(std::ostream& out, const Tensor& t);

}  // namespace exciton
