/// The parts of the module, in the order in which they stand on one another.
#pragma once
#include "python/convert.hpp"

namespace exciton::python {

void bind_tensor(py::module_& m);
void bind_autograd(py::module_& m);
void bind_operators(py::module_& m);
void bind_modules(py::module_& m);
void bind_layers(py::module_& m);
void bind_optimizers(py::module_& m);
void bind_data(py::module_& m);
void bind_train(py::module_& m);
void bind_trained(py::module_& m);

}  // namespace exciton::python
