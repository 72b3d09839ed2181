/// What this process may take of the machine: processors and memory, after affinity and the limits
/// of its control groups (containers, batch systems).
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace exciton {

struct Limits {
  int processors = 1;           ///< of the machine, online
  int allowed = 1;              ///< that the affinity of the process leaves
  std::optional<double> quota;  ///< processors' worth of time that its control groups grant
  /// Bytes of memory: of the machine; and the least that a control group or `ulimit -v` allows.
  std::uint64_t memory = 0;
  std::optional<std::uint64_t> memory_limit;
  std::string memory_limited_by;  ///< "cgroup limit", "ulimit -v"; "" without a limit

  /// Threads that can run at a time: the quota rounded, at least one, and no more than `allowed`.
  int threads() const;
  /// Bytes this process can have.
  std::uint64_t usable_memory() const {
    return memory_limit ? std::min(memory, *memory_limit) : memory;
  }
  /// What threads() is made from: "cgroup quota 2.0 of 64 processors", "4 of 64 processors by
  /// affinity", "64 processors".
  std::string text() const;
};

/// Of this process. `root` is the folder that stands for /: with another one, control groups are
/// read from there (its proc/self/cgroup, proc/self/mountinfo and what they lead to), version 1 or
/// 2, of the process's own group and of all above it. What cannot be read limits nothing.
Limits read_limits(const std::filesystem::path& root = "/");

}  // namespace exciton
