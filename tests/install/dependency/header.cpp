#include <exciton/exciton.hpp>

#include "exciton/core/error.hpp"

int threads_of_exciton() { return exciton::num_threads(); }
