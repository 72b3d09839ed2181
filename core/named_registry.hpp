/// Things by name: what is open to users, and the closed sets of the engine.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/suggest.hpp"

namespace exciton {

/// What users may add to, in the order in which it was added. Add before other threads use the
/// library.
template <class T>
class NamedRegistry {
 public:
  /// `what` opens messages.
  explicit NamedRegistry(std::string_view what) : what_(what) {}

  /// Errors: no name, or one that is taken.
  void add(const std::string& name, T thing) {
    check(!name.empty() && find(name) == nullptr, what_, ": the name \"", name, "\" is taken");
    entries_.emplace_back(name, std::move(thing));
  }
  /// nullptr: none of that name.
  const T* find(std::string_view name) const {
    for (const auto& [known, thing] : entries_)
      if (known == name) return &thing;
    return nullptr;
  }
  /// Errors: none of that name.
  const T& at(std::string_view name) const {
    const T* const found = find(name);
    check(found != nullptr, what_, ": unknown name \"", name, "\"; known are ", listed(names()));
    return *found;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : entries_) out.push_back(entry.first);
    return out;
  }

 private:
  std::string what_;
  std::vector<std::pair<std::string, T>> entries_;
};

/// The names of a closed enum's values, in one table.
template <class E, std::size_t N>
struct NameTable {
  std::string_view what;  ///< opens messages
  std::array<std::pair<E, std::string_view>, N> rows;

  /// Errors: no value of that name.
  E parse(std::string_view name) const {
    for (const auto& [value, known] : rows)
      if (known == name) return value;
    fail(what, ": unknown name \"", name, "\"; known are ", listed(names()));
  }
  std::string_view name(E value) const {
    for (const auto& [known, name] : rows)
      if (known == value) return name;
    return "?";
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& row : rows) out.emplace_back(row.second);
    return out;
  }
};

}  // namespace exciton
