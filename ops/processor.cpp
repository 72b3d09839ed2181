#include "exciton/ops/processor.hpp"

#include <cpuid.h>
#include <unistd.h>

#include <cstring>

namespace exciton::ops {
namespace {

std::string brand() {
  unsigned regs[12] = {};
  for (unsigned i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002u + i, &regs[4 * i], &regs[4 * i + 1], &regs[4 * i + 2],
                     &regs[4 * i + 3]))
      return "unknown processor";
  char text[sizeof regs + 1] = {};
  std::memcpy(text, regs, sizeof regs);
  std::string name = text;
  name.erase(0, name.find_first_not_of(' '));
  name.erase(name.find_last_not_of(' ') + 1);
  return name;
}

ProcessorKind kind() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned amd = 0x68747541;  // "Auth", of "AuthenticAMD"
  if (!__get_cpuid(0, &a, &b, &c, &d) || b != amd || !__get_cpuid(1, &a, &b, &c, &d))
    return ProcessorKind::other;
  const unsigned family = (a >> 8 & 0xf) + (a >> 20 & 0xff);
  const unsigned model = (a >> 4 & 0xf) | (a >> 12 & 0xf0);
  if (family == 26) return ProcessorKind::zen5;
  if (family != 25) return ProcessorKind::other;
  const bool zen4 = (model >= 0x10 && model < 0x20) || (model >= 0x60 && model < 0xb0);
  return zen4 ? ProcessorKind::zen4 : ProcessorKind::zen3;
}

Processor read() {
  Processor p;
  p.name = brand();
  p.kind = kind();
  p.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  p.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) p.bf16 = p.avx512 && ((a >> 5) & 1u);
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
    p.amx = p.bf16 && ((d >> 22) & 1u) && ((d >> 24) & 1u);
  if (const long bytes = ::sysconf(_SC_LEVEL2_CACHE_SIZE); bytes > 0) p.second_level_cache = bytes;
  if (const long bytes = ::sysconf(_SC_LEVEL3_CACHE_SIZE); bytes > 0) p.third_level_cache = bytes;
  return p;
}

}  // namespace

const Processor& processor() {
  static const Processor p = read();
  return p;
}

Precision choose_precision(const std::string& dtype) {
  const Processor& p = processor();
  const std::string native = p.amx ? "AMX" : "AVX512_BF16";
  if (dtype == "f32") return {};
  if (dtype == "auto") {
    if (p.bf16) return {DType::bf16, "auto: bf16, multiplied natively here (" + native + ")"};
    return {DType::f32, "auto: f32, this processor does not multiply bf16 natively"};
  }
  check(dtype == "bf16", "dtype: expected f32, bf16 or auto, got ", dtype);
  if (p.bf16) return {DType::bf16, "bf16, multiplied natively here (" + native + ")"};
  return {DType::bf16,
          "bf16 is emulated on this processor: it saves memory, not time; try dtype \"auto\"",
          true};
}

}  // namespace exciton::ops
