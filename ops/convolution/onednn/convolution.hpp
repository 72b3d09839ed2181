/// oneDNN's convolutions behind an interface of ours. Only this folder includes dnnl.hpp.
///
/// A batch is cut into pieces of images, whatever the number of threads, and each piece runs a
/// primitive made for one thread; that scales as well as oneDNN's own threading, needs no barrier
/// inside, and lets callers work on a piece while it is in cache. Where images are few, pieces are
/// rows of a map or blocks of channels. oneDNN's own threads are for measurements: its sums are cut
/// by their number, and two crews would fight for the processors.
#pragma once
#include <memory>
#include <string>

#include "exciton/ops/convolution/geometry.hpp"

namespace exciton::ops::onednn {

/// Groups that oneDNN sees as one, with zero weights from each to the others. It has no good kernel
/// for groups narrower than eight channels: four wide, joining two is 1.7 times as fast (ResNeXt's
/// first stage). Wider groups, and single channels, are best as they are.
std::int64_t merged_groups(const ConvGeometry& g);

/// The type in which oneDNN's kernels run a convolution over maps of g.dtype. oneDNN multiplies
/// bf16 from AVX-512 on; older processors run the f32 kernels over rounded values, which is the
/// same arithmetic: products of bf16 are exact in f32, and sums are kept in it.
DType kernel_type(const ConvGeometry& g);

/// What speaks against oneDNN as a whole on this processor, in a sentence for people: where it is
/// known to fail on some (trial.hpp), known convolutions are tried once, in a process of their own.
/// Empty: nothing, or the build has no oneDNN.
std::string doubts();

/// "2.6.3", as it is found at run time; "" in a build without oneDNN.
std::string version_text();

/// The index-th of so many equal blocks of channels: of outputs; of the data's gradient, of inputs.
struct Block {
  std::int64_t index = 0, of = 1;
  bool operator==(const Block&) const = default;
};

/// A primitive for a fixed number of images and threads, with its packed weights. To be run before
/// the next prepare() of its Primitives with another version of the weights, and before a drop.
class Job;

/// Primitives by shape and packed weights by version of one convolution layer.
class Primitives {
 public:
  Primitives();
  ~Primitives();

  /// The job for `images` images on `threads` threads (1: to be run by any one thread at a time
  /// per slot). `weights` f32 [O, I/g, kH, kW]; ignored for backward_weights. `geometry` is that of
  /// the block, `weights` are those of all. Not thread-safe.
  /// Errors: a form for which why_not() has a reason.
  const Job& prepare(Direction direction, const ConvGeometry& geometry, std::int64_t images,
                     int threads, const Tensor& weights, std::uint64_t version, Block block = {});

  /// Why oneDNN must not run such a job: what the kernel table says of the kernel it offers
  /// (ops/convolution/onednn/kernel_table.hpp), or that it has none on this processor. Empty: it
  /// may.
  std::string why_not(Direction direction, const ConvGeometry& geometry, std::int64_t images,
                      int threads, Block block = {});

  /// forward: (x, bias or null, y); backward_data: (dy, null, dx); backward_weights: (x, dy, dw in
  /// the primitive's own layout of weight_elements(job) f32). Thread-safe for distinct slots
  /// (0 <= slot < num_threads() at prepare).
  static void run(const Job& job, int slot, const void* first, const void* second, void* result,
                  const EpilogueInputs& epilogue = {});

  /// Primitives that are kept, at most; while a call wants more at once there may be more.
  static constexpr std::size_t most_jobs = 48;
  std::size_t jobs() const;

  /// Gives the pool back the scratchpads that prepare() took, which the runs no longer need: the
  /// end of a call.
  void drop_scratchpads();
  /// Gives it back the packed weights; the next prepare() packs them again.
  void drop_weights();

  static std::int64_t weight_elements(const Job& job);
  /// dw in the job's layout to plain [O, I/g, kH, kW].
  Tensor unpack_gradient(const Job& job, const float* packed, const Shape& shape);

 private:
  Job& job_of(Direction direction, const ConvGeometry& geometry, std::int64_t images, int threads,
              Block block);
  void evict();

  struct State;
  std::unique_ptr<State> state_;
};

/// Whether oneDNN may run this direction of a convolution over a batch of so many images: all jobs
/// that the functions below would make of it. False where there are doubts(), and where the build
/// has no oneDNN.
bool takes(Primitives& conv, Direction direction, const ConvGeometry& g, std::int64_t images);

/// y = conv(x) + bias over a whole batch, then the epilogue of `g`: gates [images, O], shortcut
/// like y.
void forward(Primitives& conv, const ConvGeometry& g, std::int64_t images, const Tensor& weights,
             std::uint64_t version, const void* x, const float* bias, void* y,
             const EpilogueInputs& epilogue = {});
/// dx of a whole batch.
void backward_data(Primitives& conv, const ConvGeometry& g, std::int64_t images,
                   const Tensor& weights, std::uint64_t version, const void* dy, void* dx);
/// dw of a whole batch, plain layout.
Tensor backward_weights(Primitives& conv, const ConvGeometry& g, std::int64_t images,
                        const Shape& weight_shape, const void* x, const void* dy);

}  // namespace exciton::ops::onednn
