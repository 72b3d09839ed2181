/// The same operator for other languages, by name: loaded at run time, without building anything of
/// theirs again. use_from_python.py has the rest.
#include "swish.hpp"

EXCITON_PLUGIN(registries) { registries.operators.add("swish", exciton::ops::registered<Swish>()); }
