#include "python/dlpack.hpp"

#include <array>

namespace exciton::python {
namespace {

// Names, order and types are the standard's.
struct DLDevice {
  std::int32_t device_type, device_id;
};
struct DLDataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t *shape, *strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};

constexpr std::int32_t cpu = 1;
constexpr const char *fresh = "dltensor", *taken = "used_dltensor";

struct Row {
  DType type;
  DLDataType dl;
};
constexpr std::array rows{Row{DType::f32, {2, 32, 1}}, Row{DType::f64, {2, 64, 1}},
                          Row{DType::i64, {0, 64, 1}}, Row{DType::u8, {1, 8, 1}},
                          Row{DType::bf16, {4, 16, 1}}};

/// What is lent out: the tensor, and the extents that the structure points to.
struct Lent {
  Tensor tensor;
  std::vector<std::int64_t> shape;
  DLManagedTensor managed{};
};

void take_back(DLManagedTensor* managed) {
  const std::unique_ptr<Lent> owned(static_cast<Lent*>(managed->manager_ctx));
}

/// Of a capsule that nobody took from.
void drop(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, fresh)) return;
  auto* const managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, fresh));
  managed->deleter(managed);
}

}  // namespace

py::capsule to_dlpack(const Tensor& t) {
  auto lent = std::make_unique<Lent>();
  lent->tensor = t;
  lent->shape.assign(t.shape().begin(), t.shape().end());
  DLTensor& out = lent->managed.dl_tensor;
  out.data = lent->tensor.raw();
  out.device = {cpu, 0};
  out.ndim = t.rank();
  for (const Row& row : rows)
    if (row.type == t.dtype()) out.dtype = row.dl;
  out.shape = lent->shape.data();
  lent->managed.manager_ctx = lent.get();
  lent->managed.deleter = &take_back;
  PyObject* const capsule = PyCapsule_New(&lent->managed, fresh, &drop);
  if (capsule == nullptr) throw py::error_already_set();
  static_cast<void>(lent.release());  // the capsule's now
  return py::reinterpret_steal<py::capsule>(capsule);
}

Tensor from_dlpack(const py::object& source) {
  check(py::hasattr(source, "__dlpack__"),
        "from_dlpack: expected an object with __dlpack__, such as an array");
  const py::object capsule = source.attr("__dlpack__")();
  if (!PyCapsule_IsValid(capsule.ptr(), fresh))
    fail("from_dlpack: __dlpack__ gave no capsule \"dltensor\" that nobody has taken yet");
  auto* const managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), fresh));
  const DLTensor& t = managed->dl_tensor;
  check(t.device.device_type == cpu, "from_dlpack: the array is not in the processor's memory");
  const Row* found = nullptr;
  for (const Row& row : rows)
    if (row.dl.code == t.dtype.code && row.dl.bits == t.dtype.bits && t.dtype.lanes == 1)
      found = &row;
  check(found != nullptr,
        "from_dlpack: expected elements of float32, float64, bfloat16, int64 or uint8");
  Shape shape;
  for (std::int32_t i = 0; i < t.ndim; ++i) shape.push_back(t.shape[i]);
  if (t.strides != nullptr && shape.numel() > 0) {
    std::int64_t step = 1;
    for (std::int32_t i = t.ndim - 1; i >= 0; --i) {
      check(t.shape[i] == 1 || t.strides[i] == step,
            "from_dlpack: expected a row-major array without gaps; copy it first");
      step *= t.shape[i];
    }
  }
  Tensor out =
      Tensor::over(static_cast<char*>(t.data) + t.byte_offset, shape, found->type, [managed] {
        if (!Py_IsInitialized() || managed->deleter == nullptr) return;
        const py::gil_scoped_acquire lock;
        managed->deleter(managed);
      });
  if (PyCapsule_SetName(capsule.ptr(), taken) != 0) throw py::error_already_set();
  return out;
}

}  // namespace exciton::python
