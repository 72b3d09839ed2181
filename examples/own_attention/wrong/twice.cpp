/// A plugin that takes a name that is taken.
#include <exciton/exciton.hpp>

EXCITON_PLUGIN(registries) { registries.attention.add("se", nullptr); }
