/// Checkpoints: one file that holds everything a run needs to resume with the same bits.
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

#include "exciton/core/memory.hpp"
#include "exciton/core/tensor.hpp"
#include "exciton/nn/module.hpp"

namespace exciton::train {

struct SavedTensor {
  std::string name;
  Tensor tensor;
};

struct Checkpoint {
  std::string meta = "{}";  ///< a JSON object: what the tensors are part of
  std::vector<SavedTensor> tensors;

  /// The tensor of that name, or nullptr.
  const Tensor* find(const std::string& name) const;
  /// The first tensor that holds a NaN or an infinity, or nullptr: what no run can resume with.
  const SavedTensor* first_not_finite() const;
};

/// What to try after a failed write into a run folder: all its files are replaced in one step or
/// only appended to.
inline constexpr const char* resume_advice =
    "; what was saved before is intact: make room, and resume the run";

/// Errors: `meta` is no JSON object; anything the system refuses (read-only folder, full disk),
/// with the path and the reason; what was at `path` before is untouched.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint,
                      const std::string& advice = resume_advice);

/// What of a checkpoint is read: all of it, or what a trained model is used by, without the state
/// of the optimiser.
enum class Keep { all, weights };

/// Errors: "checkpoint: PATH: ..." for a file that is unreadable, no checkpoint, of a later
/// version, cut short, or damaged.
Checkpoint read_checkpoint(const std::filesystem::path& path, Keep keep = Keep::all);

/// Reads a checkpoint file to its end without keeping anything. Errors: as of read_checkpoint, but
/// for the table of tensors.
void verify_checkpoint(const std::filesystem::path& path);

/// What a network may take that these weights are said to be of, while in scope: a recipe of a few
/// bytes can describe one of any size. `beside`: bytes that are made on the way. `who` begins the
/// error, which the memory pool throws.
MemoryLimit limit_of_network(const Checkpoint& checkpoint, const std::string& who,
                             std::size_t beside);

/// Appends every parameter and buffer as "model.<name>"; the checkpoint shares their storage.
void save_model(nn::Module& net, Checkpoint& checkpoint);
/// Copies them back. Errors: the first tensor that is missing, left over, or of another shape or
/// type; `path` names the checkpoint in them. Nothing is changed then.
void load_model(const Checkpoint& checkpoint, nn::Module& net, const std::filesystem::path& path);
/// The same without copying: the network's tensors are those of the checkpoint then.
void adopt_model(const Checkpoint& checkpoint, nn::Module& net, const std::filesystem::path& path);

/// The same for other state, such as the optimiser's, as "<group>.<name>".
void save_tensors(const std::vector<NamedTensor>& tensors, const std::string& group,
                  Checkpoint& checkpoint);
void load_tensors(const Checkpoint& checkpoint, const std::string& group,
                  const std::vector<NamedTensor>& into, const std::filesystem::path& path);

}  // namespace exciton::train
