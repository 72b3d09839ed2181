/// All pooling operators.
#pragma once
#include "ops/avg_pool.hpp"
#include "ops/global_avg_pool.hpp"
#include "ops/max_pool.hpp"
