/// DLPack, the exchange of arrays between libraries: its structures as its first ABI has them
/// (https://dmlc.github.io/dlpack), and both directions.
#pragma once
#include "python/convert.hpp"

namespace exciton::python {

/// A capsule "dltensor" over the tensor's memory, which it keeps.
py::capsule to_dlpack(const Tensor& t);
/// The same memory as that of an object with __dlpack__. Errors: not in the processor's memory, an
/// element type we have not, no row-major array.
Tensor from_dlpack(const py::object& source);

}  // namespace exciton::python
