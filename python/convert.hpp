/// What passes between Python and the library: arrays, shapes, element types, and Python objects
/// that C++ keeps. Part of the module alone; nothing of it is installed.
#pragma once
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/core/tensor.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/nn/module.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::python {

namespace py = pybind11;
using Released = py::call_guard<py::gil_scoped_release>;

/// A tensor that Python may look at and not write: weights, whose caches would not notice, and what
/// a tape keeps for backward.
struct ReadOnlyTensor : Tensor {
  explicit ReadOnlyTensor(Tensor t) : Tensor(std::move(t)) {}
};

/// A Python object that C++ keeps, to be let go of by any thread.
class Kept {
 public:
  explicit Kept(py::object object);
  py::handle get() const { return object_->handle; }

 private:
  struct Holder {
    py::handle handle;
    explicit Holder(py::handle h) : handle(h) {}
    ~Holder();
    Holder(const Holder&) = delete;
  };
  std::shared_ptr<Holder> object_;
};

/// Element type by any of its names: "f32", "float32", numpy.float32. Errors: none of ours.
DType dtype_from(py::handle name);
Shape shape_from(const std::vector<std::int64_t>& extents);
py::tuple to_tuple(const Shape& shape);

/// None for an empty tensor.
std::optional<Tensor> or_none(const Tensor& t);
std::optional<ReadOnlyTensor> read_only_or_none(const Tensor& t);

/// The same memory. Errors: an element type we have not, memory that is not row-major, aligned and
/// (where `writable`) writable.
Tensor share_array(const py::array& array, bool writable);
/// A copy, or the same memory: of a tensor, Var, parameter, NumPy array, number, or nested lists
/// of numbers. Whole numbers become i64, others f32 unless they come as an array of f64.
Tensor tensor_from(py::handle value);
/// An array over the tensor's memory, which it keeps. Errors: bf16, which NumPy has not.
py::array to_array(const Tensor& t, bool writable);

/// What an operator takes: whatever tensor_from() takes, and with a Var or a parameter its place on
/// the tape. None: absent.
struct Input {
  Var var;
};
Input input_from(py::handle value);

/// exciton.default_generator, which initialises what nobody gave a generator.
Generator& default_generator();

/// To be called from time to time by what takes long, with the interpreter's lock or without.
/// Throws what Python makes of a signal: KeyboardInterrupt.
void stop_on_signals();

}  // namespace exciton::python

/// As what a module is shown to Python: the object itself where it is one of Python's, else its
/// nearest class that Python knows.
template <>
struct pybind11::polymorphic_type_hook<exciton::nn::Module> {
  static const void* get(const exciton::nn::Module* module, const std::type_info*& type);
};

namespace pybind11::detail {

template <>
struct type_caster<exciton::python::Input> {
  PYBIND11_TYPE_CASTER(exciton::python::Input, const_name("ArrayLike"));
  bool load(handle source, bool) {
    value = exciton::python::input_from(source);
    return true;
  }
};

/// Where an object is shared with C++, None is none.
template <class T>
struct present_caster : copyable_holder_caster<T, std::shared_ptr<T>> {
  bool load(handle source, bool convert) {
    return !source.is_none() &&
           copyable_holder_caster<T, std::shared_ptr<T>>::load(source, convert);
  }
};
template <>
struct type_caster<std::shared_ptr<exciton::nn::Module>> : present_caster<exciton::nn::Module> {};
template <>
struct type_caster<std::shared_ptr<exciton::data::Dataset>>
    : present_caster<exciton::data::Dataset> {};
template <>
struct type_caster<std::shared_ptr<exciton::train::TrainedModel>>
    : present_caster<exciton::train::TrainedModel> {};

}  // namespace pybind11::detail
