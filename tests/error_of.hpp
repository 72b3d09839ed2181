/// The message of what a call throws.
#pragma once
#include <exception>
#include <string>

namespace exciton::test_support {

/// "no error" where it throws nothing.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace exciton::test_support
