/// Tensor, and its ways to NumPy and others.
#include <array>

#include "exciton/core/random.hpp"
#include "python/bindings.hpp"
#include "python/dlpack.hpp"

namespace exciton::python {
namespace {

// -- The buffer protocol: memoryview(t), numpy.asarray(t)

struct Extents {
  std::vector<Py_ssize_t> shape, strides;
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) try {
  view->obj = nullptr;
  const auto& t = py::handle(self).cast<const Tensor&>();
  const bool writable = !py::isinstance<ReadOnlyTensor>(self);
  const char* const format = t.dtype() == DType::f32   ? "f"
                             : t.dtype() == DType::f64 ? "d"
                             : t.dtype() == DType::i64 ? "l"
                             : t.dtype() == DType::u8  ? "B"
                                                       : nullptr;
  check(format != nullptr, "buffer: has no bf16; convert the tensor: .to(\"f32\")");
  check(writable || (flags & PyBUF_WRITABLE) == 0, "buffer: this tensor is read-only");
  auto extents = std::make_unique<Extents>();
  Py_ssize_t step = static_cast<Py_ssize_t>(size_of(t.dtype()));
  view->itemsize = step;
  extents->shape.assign(t.shape().begin(), t.shape().end());
  extents->strides.resize(extents->shape.size());
  for (std::size_t i = extents->shape.size(); i-- > 0; step *= extents->shape[i])
    extents->strides[i] = step;
  view->buf = const_cast<void*>(t.raw());
  view->len = static_cast<Py_ssize_t>(t.bytes());
  view->readonly = writable ? 0 : 1;
  view->ndim = t.rank();
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) ? extents->shape.data() : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? extents->strides.data() : nullptr;
  view->suboffsets = nullptr;
  view->internal = extents.release();
  view->obj = self;  // keeps the tensor, and with it the storage
  Py_INCREF(self);
  return 0;
} catch (const std::exception& error) {
  PyErr_SetString(PyExc_BufferError, error.what());
  return -1;
}

void release_buffer(PyObject*, Py_buffer* view) {
  const std::unique_ptr<Extents> owned(static_cast<Extents*>(view->internal));
}

void add_buffer(PyHeapTypeObject* type) {
  type->as_buffer.bf_getbuffer = &get_buffer;
  type->as_buffer.bf_releasebuffer = &release_buffer;
  type->ht_type.tp_as_buffer = &type->as_buffer;
}

// -- Methods of several lines

py::object as_array(const py::object& self, const py::object& dtype, const py::object&) {
  const auto& t = self.cast<const Tensor&>();
  const bool writable = !py::isinstance<ReadOnlyTensor>(self);
  const py::array array = to_array(t.dtype() == DType::bf16 ? t.to(DType::f32) : t, writable);
  return dtype.is_none() ? py::object(array) : array.attr("astype")(dtype, py::arg("copy") = false);
}

py::dict array_interface(const py::object& self) {
  if (self.cast<const Tensor&>().dtype() == DType::bf16)
    throw py::attribute_error("NumPy has no bf16");  // it takes __array__ then
  return to_array(self.cast<const Tensor&>(), !py::isinstance<ReadOnlyTensor>(self))
      .attr("__array_interface__");
}

std::string representation(const Tensor& t) {
  std::ostringstream out;
  out << t;
  return out.str();
}

Tensor copied(py::handle data, const py::object& dtype) {
  const Tensor t = tensor_from(data);
  const Tensor in_type = dtype.is_none() ? t : t.to(dtype_from(dtype));
  return in_type.shared() ? in_type.clone() : in_type;
}

using Extent = std::vector<std::int64_t>;

void bind_generator(py::module_& m) {
  py::class_<Generator>(m, "Generator",
                        "Random numbers, counter-based: a number is a function of seed, stream and "
                        "counter, whatever the number of threads.")
      .def(py::init<std::uint64_t, std::uint64_t>(), py::arg("seed") = 0, py::arg("stream") = 0)
      .def(
          "manual_seed",
          [](Generator& g, std::uint64_t seed) {
            g.set_state({seed, g.state().stream, 0});
          },
          py::arg("seed"), "Begins again, from this seed.")
      .def("random", &Generator::uniform_double, "Uniform in [0, 1).")
      .def("normal", &Generator::normal, "Standard normal.")
      .def("randint", &Generator::below, py::arg("n"), "A whole number in [0, n).")
      .def_property(
          "state",
          [](const Generator& g) {
            const Generator::State s = g.state();
            return std::array{s.seed, s.stream, s.counter};
          },
          [](Generator& g, const std::array<std::uint64_t, 3>& s) {
            g.set_state({s[0], s[1], s[2]});
          },
          "(seed, stream, counter), the whole state.");
}

}  // namespace

void bind_tensor(py::module_& m) {
  bind_generator(m);
  py::class_<Tensor> tensor(m, "Tensor", py::custom_type_setup(add_buffer),
                            "Numbers of one type in a row-major array. Images are [N, H, W, C]. "
                            "Shares its memory with NumPy, memoryview and DLPack; made by "
                            "exciton.tensor, from_numpy, from_dlpack, zeros, ones, full, randn.");
  tensor.def_property_readonly("shape", [](const Tensor& t) { return to_tuple(t.shape()); })
      .def_property_readonly(
          "dtype", [](const Tensor& t) { return std::string(name_of(t.dtype())); },
          "\"f32\", \"bf16\", \"f64\", \"i64\" or \"u8\".")
      .def_property_readonly("ndim", &Tensor::rank)
      .def_property_readonly("nbytes", &Tensor::bytes)
      .def("numel", &Tensor::numel, "Number of elements.")
      .def(
          "data_ptr", [](const Tensor& t) { return reinterpret_cast<std::uintptr_t>(t.raw()); },
          "Address of the first element.")
      .def(
          "numpy", [](const Tensor& t) { return to_array(t, true); },
          "An array over the same memory, which it keeps alive. Errors: bf16; convert first.")
      .def("__array__", &as_array, py::arg("dtype") = py::none(), py::arg("copy") = py::none(),
           "For numpy.asarray: over the same memory; of bf16 a copy in float32.")
      .def_property_readonly("__array_interface__", &array_interface)
      .def(
          "__dlpack__",
          [](const Tensor& t, const py::object&, const py::object&, const py::object&,
             const py::object&) { return to_dlpack(t); },
          py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
          py::arg("dl_device") = py::none(), py::arg("copy") = py::none(),
          "A DLPack capsule over the same memory, which it keeps alive.")
      .def("__dlpack_device__", [](const Tensor&) { return std::make_pair(1, 0); })
      .def("item", &Tensor::item, "The only element. Errors: there are more.")
      .def("__float__", &Tensor::item)
      .def(
          "tolist",
          [](const Tensor& t) {
            return to_array(t.dtype() == DType::bf16 ? t.to(DType::f32) : t, false)
                .attr("tolist")();
          },
          "Nested lists of numbers.")
      .def("clone", &Tensor::clone, Released(), "A copy of the values.")
      .def(
          "reshape",
          [](const Tensor& t, const Extent& shape) { return t.reshape(shape_from(shape)); },
          py::arg("shape"), "The same memory under another shape.")
      .def(
          "to", [](const Tensor& t, const py::object& type) { return t.to(dtype_from(type)); },
          py::arg("dtype"), "Converted; the tensor itself where it has that type already.")
      .def(
          "fill_",
          [](const py::object& self, double value) {
            self.cast<Tensor&>().fill(value);
            return self;
          },
          py::arg("value"))
      .def(
          "copy_",
          [](const py::object& self, py::handle source) {
            auto& t = self.cast<Tensor&>();
            t.copy_from(tensor_from(source).to(t.dtype()));
            return self;
          },
          py::arg("source"), "Takes the values of a tensor or array of the same shape.")
      .def("__len__",
           [](const Tensor& t) {
             if (t.rank() == 0) throw py::type_error("len() of a tensor without dimensions");
             return t.dim(0);
           })
      .def(
          "__getitem__",
          [](const py::object& self, const py::object& index) -> py::object {
            return self.attr("numpy")()[index];
          },
          py::arg("index"), "What numpy() has there.")
      .def(
          "__setitem__",
          [](const py::object& self, const py::object& index, const py::object& value) {
            self.attr("numpy")()[index] = value;
          },
          py::arg("index"), py::arg("value"))
      .def("__repr__", &representation);

  py::class_<ReadOnlyTensor, Tensor> fixed(
      m, "ReadOnlyTensor", py::custom_type_setup(add_buffer),
      "A tensor to look at: weights, and what a tape keeps for backward. numpy() is read-only; "
      "Parameter.copy_ changes weights, clone() is a copy of one's own.");
  fixed
      .def(
          "numpy", [](const ReadOnlyTensor& t) { return to_array(t, false); },
          "A read-only array over the same memory, which it keeps alive.")
      .def("__dlpack__",
           [](const ReadOnlyTensor&, const py::args&, const py::kwargs&) -> py::object {
             throw py::buffer_error(
                 "this tensor is read-only, which DLPack cannot say; take a copy: .clone()");
           })
      .def(
          "reshape",
          [](const ReadOnlyTensor& t, const Extent& shape) {
            return ReadOnlyTensor(t.reshape(shape_from(shape)));
          },
          py::arg("shape"), "The same memory under another shape.")
      .def(
          "to",
          [](const ReadOnlyTensor& t, const py::object& type) -> py::object {
            const Tensor out = t.to(dtype_from(type));
            return out.same_storage(t) ? py::cast(ReadOnlyTensor(out)) : py::cast(out);
          },
          py::arg("dtype"), "Converted; the tensor itself where it has that type already.")
      .def(
          "fill_",
          [](const ReadOnlyTensor&, double) {
            fail("fill_: this tensor is read-only; take a copy: .clone()");
          },
          py::arg("value"), "Errors: always.")
      .def(
          "copy_",
          [](const ReadOnlyTensor&, const py::object&) {
            fail("copy_: this tensor is read-only; take a copy: .clone()");
          },
          py::arg("source"), "Errors: always.");

  m.def("tensor", &copied, py::arg("data"), py::arg("dtype") = py::none(),
        "A tensor with a copy of an array, tensor, number or nested lists. Whole numbers become "
        "i64, others f32 unless they come as an array of float64.");
  m.def(
      "from_numpy", [](const py::array& array) { return share_array(array, true); },
      py::arg("array"),
      "A tensor over the array's memory: no copy, and what is written on one side is seen on the "
      "other. Errors: not float32, float64, int64 or uint8; not row-major; read-only.");
  m.def("from_dlpack", &from_dlpack, py::arg("source"),
        "A tensor over the memory of an object with __dlpack__. Errors: as from_numpy.");
  m.def(
      "zeros",
      [](const Extent& s, const py::object& t) {
        return Tensor::zeros(shape_from(s), dtype_from(t));
      },
      py::arg("shape"), py::arg("dtype") = "f32");
  m.def(
      "ones",
      [](const Extent& s, const py::object& t) {
        return Tensor::full(shape_from(s), 1, dtype_from(t));
      },
      py::arg("shape"), py::arg("dtype") = "f32");
  m.def(
      "full",
      [](const Extent& s, double v, const py::object& t) {
        return Tensor::full(shape_from(s), v, dtype_from(t));
      },
      py::arg("shape"), py::arg("value"), py::arg("dtype") = "f32");
  m.def(
      "randn",
      [](const Extent& s, Generator* g, const py::object& t) {
        return Tensor::randn(shape_from(s), g ? *g : default_generator(), dtype_from(t));
      },
      py::arg("shape"), py::arg("generator") = py::none(), py::arg("dtype") = "f32",
      "Independent standard normal numbers.");
  m.def(
      "rand",
      [](const Extent& s, Generator* g, const py::object& t) {
        return Tensor::rand(shape_from(s), g ? *g : default_generator(), 0, 1, dtype_from(t));
      },
      py::arg("shape"), py::arg("generator") = py::none(), py::arg("dtype") = "f32",
      "Independent uniform numbers in [0, 1).");
  m.attr("default_generator") = Generator(1);
}

Generator& default_generator() {
  return py::module_::import("exciton._exciton").attr("default_generator").cast<Generator&>();
}

}  // namespace exciton::python
