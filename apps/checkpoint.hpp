/// Checkpoints: one file that holds everything a run needs to go on with the same bits.
///
/// Layout (little endian):
///   0   magic "EXCITON\x1a"
///   8   u32 version (1), u32 zero
///   16  u64 bytes of the JSON header, u64 bytes of the whole file
///   32  JSON header {"meta": {...}, "tensors": [{"name", "dtype", "shape", "offset", "bytes"}]}
///   ..  raw tensors, row-major, each at a multiple of 64 from the start of the file, zero-padded
///   end XXH3-128 (canonical, 16 bytes) of everything before it
///
/// Writing is atomic: a temporary file in the same folder, fsync, rename, fsync of the folder. A
/// process killed at any moment leaves the old file or the new one. Reading believes nothing:
/// magic, version, sizes and checksum are checked first, then every name, type, shape, offset and
/// length, and no more memory is taken than the file is long.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/json.hpp"
#include "core/tensor.hpp"
#include "nn/module.hpp"

namespace exciton::apps {

struct SavedTensor {
  std::string name;
  Tensor tensor;
};

struct Checkpoint {
  Json meta = Json::object();
  std::vector<SavedTensor> tensors;

  /// The tensor of that name, or nullptr.
  const Tensor* find(const std::string& name) const;
};

/// Errors: anything the system refuses (read-only folder, full disk), with the path and the reason;
/// what was at `path` before is untouched.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Errors: "checkpoint: PATH: ..." for a file that is unreadable, no checkpoint, of a later
/// version, cut short, or damaged.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// Writes `text` to `path` as atomically as a checkpoint.
void write_text_atomically(const std::filesystem::path& path, const std::string& text);

/// Makes `link` another name of `target` (a copy where the file system has no hard links),
/// replacing what was there in one step.
void link_atomically(const std::filesystem::path& target, const std::filesystem::path& link);

/// Appends every parameter and buffer as "model.<name>"; the checkpoint shares their storage.
void save_model(nn::Module& net, Checkpoint& checkpoint);
/// Copies them back. Errors: the first tensor that is missing, left over, or of another shape or
/// type; `path` names the checkpoint in them. Nothing is changed then.
void load_model(const Checkpoint& checkpoint, nn::Module& net, const std::filesystem::path& path);

/// The same for other state, such as the optimiser's, as "<group>.<name>".
void save_tensors(const std::vector<NamedTensor>& tensors, const std::string& group,
                  Checkpoint& checkpoint);
void load_tensors(const Checkpoint& checkpoint, const std::string& group,
                  const std::vector<NamedTensor>& into, const std::filesystem::path& path);

}  // namespace exciton::apps
