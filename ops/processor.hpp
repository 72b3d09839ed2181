/// What this processor can do, as far as choices here depend on it.
#pragma once
#include <cstdint>
#include <string>

#include "exciton/core/dtype.hpp"

namespace exciton::ops {

/// Kinds whose convolutions were measured form by form; a choice between kernels may differ there.
enum class ProcessorKind { other, zen3, zen4, zen5 };

struct Processor {
  std::string name;  ///< as the system prints it: "AMD EPYC ..."
  ProcessorKind kind = ProcessorKind::other;
  bool avx2 = false;    ///< with FMA
  bool avx512 = false;  ///< F, BW, DQ and VL
  bool bf16 = false;    ///< multiplies bf16 natively (AVX512_BF16; every AMX processor has it)
  bool amx = false;     ///< AMX tiles for bf16
  // Bytes, as the system reports them; where it does not, a small one of these years.
  std::int64_t second_level_cache = 512 << 10;  ///< of one core
  std::int64_t third_level_cache = 32 << 20;    ///< of all
};

/// Read once from the processor itself.
const Processor& processor();

/// The type of activations for "f32", "bf16" or "auto", and why: `auto` is bf16 exactly where the
/// processor multiplies it natively.
struct Precision {
  DType dtype = DType::f32;
  std::string reason;    ///< one line for people; empty for plain f32
  bool warning = false;  ///< f32 would be as fast or faster here
};
/// Errors: any other word.
Precision choose_precision(const std::string& dtype);

}  // namespace exciton::ops
