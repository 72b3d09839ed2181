#include "python/convert.hpp"

#include <limits>

#include "exciton/core/parameter.hpp"

namespace exciton::python {

Kept::Kept(py::object object) : object_(std::make_shared<Holder>(object.release())) {}

Kept::Holder::~Holder() {
  if (!Py_IsInitialized()) return;  // the interpreter has gone, and all of its objects
  const py::gil_scoped_acquire lock;
  handle.dec_ref();
}

DType dtype_from(py::handle name) {
  if (py::isinstance<py::str>(name)) {
    const auto text = name.cast<std::string>();
    if (text == "float32") return DType::f32;
    if (text == "bfloat16") return DType::bf16;
    if (text == "float64") return DType::f64;
    if (text == "int64") return DType::i64;
    if (text == "uint8") return DType::u8;
    return parse_dtype(text);
  }
  if (name.is_none())  // NumPy would take it for float64
    throw py::type_error("dtype: expected \"f32\", numpy.float32 or the like, got None");
  return dtype_from(py::dtype::from_args(py::reinterpret_borrow<py::object>(name)).attr("name"));
}

Shape shape_from(const std::vector<std::int64_t>& extents) {
  Shape shape;
  for (const std::int64_t d : extents) shape.push_back(d);
  return shape;
}

py::tuple to_tuple(const Shape& shape) {
  py::tuple out(static_cast<std::size_t>(shape.rank()));
  for (int i = 0; i < shape.rank(); ++i) out[static_cast<std::size_t>(i)] = shape[i];
  return out;
}

std::optional<Tensor> or_none(const Tensor& t) {
  return t.empty() ? std::nullopt : std::optional(t);
}
std::optional<ReadOnlyTensor> read_only_or_none(const Tensor& t) {
  return t.empty() ? std::nullopt : std::optional(ReadOnlyTensor(t));
}

Tensor share_array(const py::array& array, bool writable) {
  const auto type = [&] {
    if (py::isinstance<py::array_t<float>>(array)) return DType::f32;
    if (py::isinstance<py::array_t<double>>(array)) return DType::f64;
    if (py::isinstance<py::array_t<std::int64_t>>(array)) return DType::i64;
    if (py::isinstance<py::array_t<std::uint8_t>>(array)) return DType::u8;
    fail("from_numpy: expected an array of float32, float64, int64 or uint8, got ",
         py::str(array.dtype()).cast<std::string>(), "; convert it: array.astype(\"float32\")");
  }();
  check((array.flags() & py::array::c_style) != 0,
        "from_numpy: expected a row-major array without gaps; copy it: "
        "numpy.ascontiguousarray(array)");
  check(!writable || array.writeable(),
        "from_numpy: the array is read-only, and a tensor over it could be written to; copy it: "
        "exciton.tensor(array)");
  Shape shape;
  for (py::ssize_t i = 0; i < array.ndim(); ++i) shape.push_back(array.shape(i));
  return Tensor::over(const_cast<void*>(array.data()), shape, type,
                      [kept = Kept(array)] { static_cast<void>(kept); });
}

Tensor tensor_from(py::handle value) {
  if (py::isinstance<Tensor>(value)) return value.cast<Tensor>();
  if (py::isinstance<Var>(value)) return value.cast<const Var&>().value();
  if (py::isinstance<Parameter>(value)) return value.cast<const Parameter&>().value();
  py::array array = py::array::ensure(value);
  if (!array) {
    PyErr_Clear();
    throw py::type_error("expected a tensor, an array or numbers, got " +
                         py::repr(py::type::of(value)).cast<std::string>());
  }
  const bool is_array = py::isinstance<py::array>(value);
  switch (array.dtype().kind()) {
    case 'f':
      if (!is_array || (array.itemsize() != 4 && array.itemsize() != 8))
        array = array.attr("astype")("float32");
      break;
    case 'b':
    case 'i':
    case 'u':
      if (array.dtype().kind() == 'u' && array.itemsize() == 8 && array.size() > 0)
        check(array.attr("max")().cast<std::uint64_t>() <=
                  std::uint64_t{std::numeric_limits<std::int64_t>::max()},
              "expected integers below 2^63, got an array of uint64 with larger ones");
      if (array.dtype().kind() != 'u' || array.itemsize() != 1)
        array = array.attr("astype")("int64");
      break;
    default:
      throw py::type_error("expected numbers, got an array of " +
                           py::str(array.dtype()).cast<std::string>());
  }
  array = py::array::ensure(array, py::array::c_style);
  return share_array(array, false);
}

py::array to_array(const Tensor& t, bool writable) {
  check(!t.empty(), "numpy: there is no value; did a forward return None?");
  const auto type = [&]() -> py::dtype {
    switch (t.dtype()) {
      case DType::f32:
        return py::dtype::of<float>();
      case DType::f64:
        return py::dtype::of<double>();
      case DType::i64:
        return py::dtype::of<std::int64_t>();
      case DType::u8:
        return py::dtype::of<std::uint8_t>();
      case DType::bf16:
        break;
    }
    fail("numpy: has no bf16; convert the tensor: .to(\"f32\")");
  }();
  const std::vector<py::ssize_t> shape(t.shape().begin(), t.shape().end());
  const py::object owner = py::cast(t);  // shares the storage, and lives as long as the array
  py::array out(type, shape, t.raw(), owner);
  if (!writable) out.attr("flags").attr("writeable") = false;
  return out;
}

Input input_from(py::handle value) {
  if (value.is_none()) return {};
  if (py::isinstance<Var>(value)) return {value.cast<const Var&>()};
  if (py::isinstance<Parameter>(value)) return {Var(value.cast<Parameter&>())};
  return {Var(tensor_from(value))};
}

void stop_on_signals() {
  const py::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

}  // namespace exciton::python
