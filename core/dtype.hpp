/// Element types of a tensor, and the dispatch from a run-time type to a C++ one.
#pragma once
#include <bit>
#include <cstdint>
#include <ostream>
#include <string_view>
#include <type_traits>
#include <utility>

#include "exciton/core/error.hpp"

namespace exciton {

/// f32 is the reference; bf16 stores activations and their gradients; f64 checks gradients;
/// i64 holds labels; u8 holds pixels.
enum class DType : std::uint8_t { f32, bf16, f64, i64, u8 };

/// bfloat16: the upper half of an f32. Conversion rounds to nearest even and keeps NaN a NaN.
struct bf16 {
  std::uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float value) {
    auto u = std::bit_cast<std::uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u)
      bits = static_cast<std::uint16_t>((u >> 16) | 0x40u);
    else
      bits = static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

constexpr std::size_t size_of(DType type) {
  switch (type) {
    case DType::f32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::f64:
      return "f64";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "?";
}

inline std::ostream& operator<<(std::ostream& out, DType type) { return out << name_of(type); }

/// "f32", "bf16", "f64", "i64" or "u8" to its DType. Errors: any other text.
DType parse_dtype(std::string_view text);

template <class T>
inline constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, bf16>) return DType::bf16;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, std::uint8_t>) return DType::u8;
}();

constexpr bool is_floating(DType type) {
  return type == DType::f32 || type == DType::bf16 || type == DType::f64;
}

/// The type in which sums over T are kept: f64 for f64, else f32.
template <class T>
using Acc = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// The type of parameters, statistics and gates beside activations of type `type`. Errors: a type
/// that is not floating, for which there is none.
constexpr DType acc_type(DType type) {
  if (!is_floating(type)) fail("dtype: expected f32, bf16 or f64, got ", name_of(type));
  return type == DType::f64 ? DType::f64 : DType::f32;
}

/// Calls f(T{}) for the floating type T named by `type`; `who` opens the error for other types.
template <class F>
decltype(auto) dispatch_float(DType type, std::string_view who, F&& f) {
  switch (type) {
    case DType::f32:
      return std::forward<F>(f)(float{});
    case DType::bf16:
      return std::forward<F>(f)(bf16{});
    case DType::f64:
      return std::forward<F>(f)(double{});
    default:
      fail(who, ": expected a floating tensor (f32, bf16 or f64), got ", type);
  }
}

}  // namespace exciton
