/// The module exciton._exciton: what the package `exciton` is made of.
#include "exciton/core/error.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/train/loop.hpp"
#include "exciton/train/plugin.hpp"
#include "exciton/train/remedy.hpp"
#include "python/bindings.hpp"

PYBIND11_MODULE(_exciton, m) {
  using namespace exciton;
  using namespace exciton::python;
  py::options plain;
  plain.disable_enum_members_docstring();
  m.doc() = "The C++ side of the package exciton.";
  m.attr("__version__") = EXCITON_VERSION;

  // The first that fits is the last that was registered.
  py::object error = py::register_exception<Error>(m, "Error", PyExc_RuntimeError);
  error.attr("__doc__") = "Wrong use or bad input: the text of the C++ side, one line to act on.";
  py::object of_run = py::register_exception<train::RunError>(m, "RunError", error);
  of_run.attr("__doc__") = "An error of a run that somebody can do something about.";
  py::object no_data = py::register_exception<data::NotFound>(m, "DataNotFound", error);
  no_data.attr("__doc__") = "There is no data set in a folder.";
  py::object not_finite = py::register_exception<train::NotFinite>(m, "NotFinite", error);
  not_finite.attr("__doc__") = "The loss of a step is NaN or infinite; no parameter was changed.";

  bind_tensor(m);
  bind_autograd(m);
  bind_operators(m);
  bind_modules(m);
  bind_layers(m);
  bind_optimizers(m);
  bind_data(m);
  bind_train(m);
  bind_trained(m);

  m.def("set_num_threads", &set_num_threads, py::arg("count"), Released(),
        "Threads that every operation of the process runs on. Changes no result.");
  m.def("get_num_threads", &num_threads, "Threads that operations run on.");
  m.def(
      "memory_stats",
      [] {
        const MemoryStats s = memory_stats();
        py::dict out;
        out["bytes_in_use"] = s.bytes_in_use;
        out["bytes_cached"] = s.bytes_cached;
        out["peak_bytes_in_use"] = s.peak_bytes_in_use;
        out["system_allocations"] = s.system_allocations;
        out["requests"] = s.requests;
        return out;
      },
      "The memory pool's statistics: bytes_in_use, bytes_cached, peak_bytes_in_use, "
      "system_allocations, requests.");
  m.def("load_plugin", &train::load_plugin, py::arg("file"),
        "Loads units, models, operators, data sets, optimisers and schedules that were written in "
        "C++ (exciton/train/plugin.hpp). Errors: no plugin, or one that was built for another "
        "version.");
}
