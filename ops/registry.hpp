/// Operators of one's own, by name: for callers that have no C++ type of them, such as other
/// languages.
///
///   registries.operators.add("swish", ops::registered<Swish>());          // in a plugin
///   const Var y = ops::call("swish", {{x}});
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/named_registry.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// Numbers by name: {"stride", 2}.
using Attributes = std::map<std::string, double>;

struct RegisteredOperator {
  int inputs = 1;                         ///< how many, or any_number
  std::vector<std::string> attributes{};  ///< the names it knows
  std::function<Var(std::span<const Var> inputs, const Attributes&)> apply;
};

/// The process's own, empty at start: add to it before other threads use the library.
NamedRegistry<RegisteredOperator>& operator_registry();

/// An operator without attributes, of a type that is described in core/operator.hpp.
template <Operator Op>
RegisteredOperator registered() {
  return {arity_of<Op>, {}, [](std::span<const Var> x, const Attributes&) {
            return exciton::apply(Op{}, x);
          }};
}

/// Applies the operator of that name. Errors: no such name, another number of inputs, an attribute
/// it does not know; its own.
Var call(std::string_view name, std::span<const Var> inputs, const Attributes& attributes = {});

}  // namespace exciton::ops
