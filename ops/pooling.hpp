/// All pooling operators.
#pragma once
#include "exciton/ops/avg_pool.hpp"
#include "exciton/ops/global_avg_pool.hpp"
#include "exciton/ops/max_pool.hpp"
