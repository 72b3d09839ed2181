#include "exciton/ops/registry.hpp"

#include <algorithm>

namespace exciton::ops {

NamedRegistry<RegisteredOperator>& operator_registry() {
  static NamedRegistry<RegisteredOperator> registry("operator");
  return registry;
}

Var call(std::string_view name, std::span<const Var> inputs, const Attributes& attributes) {
  const RegisteredOperator& op = operator_registry().at(name);
  check(op.inputs == any_number || static_cast<std::size_t>(op.inputs) == inputs.size(), name,
        ": takes ", op.inputs, " inputs, got ", inputs.size());
  for (const auto& [key, value] : attributes)
    check(std::ranges::find(op.attributes, key) != op.attributes.end(), name,
          ": has no attribute \"", key, "\"; known are ", listed(op.attributes));
  return op.apply(inputs, attributes);
}

}  // namespace exciton::ops
