/// A library that may be wrong on this processor is tried before it is used, in a process that may
/// die of it.
#pragma once
#include <functional>
#include <string>

namespace exciton::ops::onednn {

/// Runs `work` in a child process of one thread and returns what is wrong: "" where it returned
/// true, "computes wrong numbers" where it returned false, else what ended the child ("dies of
/// Floating point exception", "does not come to an end" after `seconds`). `work` must not need
/// threads of its parent. Errors: no process to be had.
std::string tried(const std::function<bool()>& work, unsigned seconds = 20);

/// Whether the processor, an AMD, does not tell its caches (CPUID leaf 8000001D is empty), as some
/// virtual machines have it. oneDNN 3 (seen: 3.7.2) then divides by zero or loses weights.
bool caches_are_untold();

}  // namespace exciton::ops::onednn
