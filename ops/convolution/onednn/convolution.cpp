#include "exciton/ops/convolution/onednn/convolution.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/convolution/direct.hpp"
#include "exciton/ops/convolution/onednn/descriptors.hpp"
#include "exciton/ops/convolution/onednn/kernel_table.hpp"
#include "exciton/ops/convolution/onednn/pieces.hpp"
#include "exciton/ops/convolution/onednn/trial.hpp"
#include "exciton/ops/processor.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"

namespace exciton::ops::onednn {
namespace {

/// oneDNN sizes its work for OpenMP's thread count at creation and at execution; both must agree.
using OmpThreads = exciton::detail::OpenMpThreads;

dnnl::memory::data_type type_of(DType t) {
  return t == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

/// Copies between weights [O, C/groups, kH, kW] and those of merged groups [O, merged C/groups, kH,
/// kW], where output o reads the channels of its own group: f(row of the former, its place in the
/// latter, elements).
template <class F>
void each_own_row(const ConvGeometry& g, F&& f) {
  const std::int64_t merged = merged_groups(g), row = g.c / g.spec.groups * g.kh * g.kw;
  for (std::int64_t o = 0; o < g.o; ++o) {
    const std::int64_t group = o / (g.o / g.spec.groups);
    f(o * row, (o * merged + group % merged) * row, row);
  }
}

Tensor merge_groups(const Tensor& weights, const ConvGeometry& g) {
  if (merged_groups(g) == 1) return weights;
  const Shape& w = weights.shape();
  Tensor wide = Tensor::zeros({w[0], w[1] * merged_groups(g), w[2], w[3]});
  each_own_row(g, [&](std::int64_t from, std::int64_t to, std::int64_t n) {
    std::copy_n(weights.data<float>() + from, n, wide.data<float>() + to);
  });
  return wide;
}

Tensor part_groups(const Tensor& wide, const ConvGeometry& g) {
  if (merged_groups(g) == 1) return wide;
  const Shape& w = wide.shape();
  Tensor weights({w[0], w[1] / merged_groups(g), w[2], w[3]});
  each_own_row(g, [&](std::int64_t to, std::int64_t from, std::int64_t n) {
    std::copy_n(wide.data<float>() + from, n, weights.data<float>() + to);
  });
  return weights;
}

/// The weights of a block: its outputs, or the channels whose gradient it makes.
Tensor weights_of(const Block& block, Direction direction, const Tensor& w) {
  if (block.of == 1) return w;
  const std::int64_t o = w.dim(0), c = w.dim(1), window = w.dim(2) * w.dim(3);
  const bool outputs = direction == Direction::forward;
  const std::int64_t rows = outputs ? o / block.of : o, columns = outputs ? c : c / block.of;
  Tensor part({rows, columns, w.dim(2), w.dim(3)});
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t from =
        outputs ? (block.index * rows + r) * c : r * c + block.index * columns;
    std::copy_n(w.data<float>() + from * window, columns * window,
                part.data<float>() + r * columns * window);
  }
  return part;
}

Version version() {
  const dnnl_version_t* v = dnnl_version();
  return {v->major, v->minor, v->patch};
}

struct Packed {
  dnnl::memory::desc desc;
  Block block;
  std::uint64_t version = 0;
  Tensor storage;
  dnnl::memory memory;
};

}  // namespace

class Job {
 public:
  Direction direction;
  ConvGeometry geometry;
  std::int64_t images = 0;
  Block block;
  int threads = 1;
  std::string distrust;  ///< why it must not run; empty: it may, and the rest is made
  dnnl::primitive primitive;
  dnnl::memory::desc src, dst, weights, bias, scratch;
  Packed* packed = nullptr;
  std::uint64_t used = 0;  ///< the last call that did
  dnnl::engine engine;
  std::vector<dnnl::stream>* streams = nullptr;
  std::vector<Tensor>* scratchpads = nullptr;
};

struct Primitives::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::vector<dnnl::stream> streams;  // one a slot
  std::vector<Tensor> scratchpads;    // one a slot, u8
  std::list<Job> jobs;                // list: references stay valid
  std::uint64_t call = 1;             // of the layer, counted at the end of each
  std::deque<Packed> packed;

  static ConvDims dims(const ConvGeometry& g, std::int64_t images, DType weight_type) {
    using dnnl::memory;
    using tag = memory::format_tag;
    const ConvSpec& s = g.spec;
    const std::int64_t groups = s.groups / merged_groups(g);
    const memory::dims w = groups == 1
                               ? memory::dims{g.o, g.c, g.kh, g.kw}
                               : memory::dims{groups, g.o / groups, g.c / groups, g.kh, g.kw};
    ConvDims d;
    d.src = memory::desc({images, g.c, g.h, g.w}, type_of(g.dtype), tag::nhwc);
    d.dst = memory::desc({images, g.o, g.oh, g.ow}, type_of(g.dtype), tag::nhwc);
    d.weights = memory::desc(w, type_of(weight_type), tag::any);
    d.bias = memory::desc({g.o}, memory::data_type::f32, tag::x);
    d.strides = {s.stride, s.stride};
    d.dilates = {s.dilation - 1, s.dilation - 1};
    d.padding = {s.padding, s.row_padding()};
    d.padding_end = {g.below < 0 ? s.padding : g.below, s.row_padding()};
    return d;
  }

  dnnl::memory::desc plain_weights(const ConvGeometry& g) const {
    using tag = dnnl::memory::format_tag;
    const ConvDims d = dims(g, 1, DType::f32);
    return {dims_of(d.weights), dnnl::memory::data_type::f32,
            g.spec.groups == merged_groups(g) ? tag::oihw : tag::goihw};
  }

  static dnnl::memory::desc gates_desc(const ConvGeometry& g) {
    return {{1, g.o, 1, 1}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::nhwc};
  }

  /// The epilogue in the order of its formula, but for the ReLU: oneDNN's makes 0 of NaN.
  static dnnl::post_ops post_ops(const ConvGeometry& g, const ConvDims& d) {
    dnnl::post_ops ops;
    if (g.epilogue.gates) ops.append_binary(dnnl::algorithm::binary_mul, gates_desc(g));
    if (g.epilogue.shortcut) ops.append_binary(dnnl::algorithm::binary_add, d.dst);
    return ops;
  }

  void make(Job& job) {
    const ConvGeometry& g = job.geometry;
    const OmpThreads one_count(job.threads);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const DType w_type = g.dtype;
    ConvDims d = dims(g, job.images, w_type);
    if (g.epilogue != ConvGeometry::Epilogue{}) attr.set_post_ops(post_ops(g, d));
    auto hint = forward_desc(engine, d, g.bias, dnnl::prop_kind::forward_training, attr);
    const auto trusted = [&](const auto& pd) {
      job.distrust = distrusted({pd.impl_info_str(), version(), job.direction}, g);
      return job.distrust.empty();
    };
    switch (job.direction) {
      case Direction::forward: {
        if (!trusted(hint)) return;
        job.primitive = dnnl::convolution_forward(hint);
        job.weights = hint.weights_desc();
        job.scratch = hint.scratchpad_desc();
        break;
      }
      case Direction::backward_data: {
        auto pd = backward_data_desc(engine, d, hint, attr);
        if (outrun({pd.impl_info_str(), version(), job.direction})) {
          auto next = backward_data_desc(engine, d, hint, attr);
          if (next.next_impl() && trusted(next)) pd = next;
        }
        if (!trusted(pd)) return;
        job.primitive = dnnl::convolution_backward_data(pd);
        job.weights = pd.weights_desc();
        job.scratch = pd.scratchpad_desc();
        break;
      }
      case Direction::backward_weights: {
        d.weights = dims(g, job.images, DType::f32).weights;
        for (const Job& other : jobs)  // partial sums of uneven pieces need one layout
          if (&other != &job && other.direction == job.direction && other.geometry == g &&
              other.distrust.empty())
            d.weights = other.weights;
        const auto pd = backward_weights_desc(engine, d, hint, attr);
        if (!trusted(pd)) return;
        job.primitive = dnnl::convolution_backward_weights(pd);
        job.weights = pd.diff_weights_desc();
        job.scratch = pd.scratchpad_desc();
        break;
      }
    }
    job.src = d.src;
    job.dst = d.dst;
    job.bias = d.bias;
    job.engine = engine;
    job.streams = &streams;
    job.scratchpads = &scratchpads;
  }

  Packed* pack(const Job& job, const Tensor& weights, std::uint64_t version) {
    Packed* found = nullptr;
    for (Packed& p : packed)
      if (p.desc == job.weights && p.block == job.block) found = &p;
    if (!found) {
      found = &packed.emplace_back();
      found->desc = job.weights;
      found->block = job.block;
    }
    if (found->storage.empty() || found->version != version) {
      if (found->storage.empty())
        found->storage = Tensor({static_cast<std::int64_t>(job.weights.get_size())}, DType::u8);
      found->memory = dnnl::memory(job.weights, engine, found->storage.raw());
      const Tensor merged =
          merge_groups(weights_of(job.block, job.direction, weights), job.geometry);
      const OmpThreads one_thread(1);
      dnnl::memory plain(plain_weights(job.geometry), engine, const_cast<void*>(merged.raw()));
      dnnl::reorder(plain, found->memory).execute(streams[0], plain, found->memory);
      streams[0].wait();
      found->version = version;
    }
    return found;
  }
};

/// Images of many sizes, as of detectors, want primitives for each: those that were used longest
/// ago go, all of a form together, so that what is made of it anew is made as at first.
void Primitives::evict() {
  State& s = *state_;
  while (s.jobs.size() > most_jobs - most_jobs / 4) {
    const auto oldest = std::ranges::min_element(s.jobs, {}, &Job::used);
    if (oldest->used == s.call) return;
    const Direction direction = oldest->direction;
    const ConvGeometry geometry = oldest->geometry;
    s.jobs.remove_if([&](const Job& j) {
      return j.used != s.call && j.direction == direction && j.geometry == geometry;
    });
  }
}

std::size_t Primitives::jobs() const { return state_->jobs.size(); }

Primitives::Primitives() : state_(std::make_unique<State>()) {}
Primitives::~Primitives() = default;

Job& Primitives::job_of(Direction direction, const ConvGeometry& geometry, std::int64_t images,
                        int threads, Block block) {
  State& s = *state_;
  for (Job& j : s.jobs)
    if (j.direction == direction && j.images == images && j.threads == threads &&
        j.block == block && j.geometry == geometry) {
      j.used = s.call;
      return j;
    }
  if (s.jobs.size() >= most_jobs) evict();
  Job& fresh = s.jobs.emplace_back();
  fresh.direction = direction;
  fresh.geometry = geometry;
  fresh.images = images;
  fresh.block = block;
  fresh.threads = threads;
  fresh.used = s.call;
  try {
    s.make(fresh);
  } catch (const dnnl::error& e) {
    fresh.distrust = std::string("there is none on this processor (") + e.message + ')';
  }
  return fresh;
}

std::string Primitives::why_not(Direction direction, const ConvGeometry& geometry,
                                std::int64_t images, int threads, Block block) {
  return job_of(direction, geometry, images, threads, block).distrust;
}

const Job& Primitives::prepare(Direction direction, const ConvGeometry& geometry,
                               std::int64_t images, int threads, const Tensor& weights,
                               std::uint64_t version, Block block) {
  State& s = *state_;
  Job* job = &job_of(direction, geometry, images, threads, block);
  if (!job->distrust.empty())
    fail("conv2d: oneDNN must not run a ", geometry.dtype, " kernel for ", geometry.c, " -> ",
         geometry.o, " channels, ", geometry.kh, "x", geometry.kw, ", groups ",
         geometry.spec.groups, ": ", job->distrust);
  const auto slots = static_cast<std::size_t>(num_threads());
  while (s.streams.size() < slots) s.streams.emplace_back(s.engine);
  if (s.scratchpads.size() < slots) s.scratchpads.resize(slots);
  const auto need = static_cast<std::int64_t>(job->scratch.get_size());
  for (std::size_t t = 0; t < (threads == 1 ? slots : 1); ++t)
    if (s.scratchpads[t].numel() < need) s.scratchpads[t] = Tensor({need}, DType::u8);
  if (direction != Direction::backward_weights) job->packed = s.pack(*job, weights, version);
  return *job;
}

void Primitives::drop_scratchpads() {
  for (Tensor& t : state_->scratchpads) t = Tensor();
  ++state_->call;
}

void Primitives::drop_weights() {
  for (Packed& p : state_->packed) p.storage = Tensor();
}

void Primitives::run(const Job& job, int slot, const void* first, const void* second, void* result,
                     const EpilogueInputs& epilogue) {
  const OmpThreads one_count(job.threads);
  const auto s = static_cast<std::size_t>(slot);
  const auto at = [&](const dnnl::memory::desc& d, const void* p) {
    return dnnl::memory(d, job.engine, const_cast<void*>(p));
  };
  std::unordered_map<int, dnnl::memory> args;
  switch (job.direction) {
    case Direction::forward:
      args = {{DNNL_ARG_SRC, at(job.src, first)},
              {DNNL_ARG_WEIGHTS, job.packed->memory},
              {DNNL_ARG_DST, at(job.dst, result)}};
      if (job.geometry.bias) args.emplace(DNNL_ARG_BIAS, at(job.bias, second));
      if (epilogue.gates)
        args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                     at(State::gates_desc(job.geometry), epilogue.gates));
      if (epilogue.shortcut)
        args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(epilogue.gates ? 1 : 0) | DNNL_ARG_SRC_1,
                     at(job.dst, epilogue.shortcut));
      break;
    case Direction::backward_data:
      args = {{DNNL_ARG_DIFF_DST, at(job.dst, first)},
              {DNNL_ARG_WEIGHTS, job.packed->memory},
              {DNNL_ARG_DIFF_SRC, at(job.src, result)}};
      break;
    case Direction::backward_weights:
      args = {{DNNL_ARG_SRC, at(job.src, first)},
              {DNNL_ARG_DIFF_DST, at(job.dst, second)},
              {DNNL_ARG_DIFF_WEIGHTS, at(job.weights, result)}};
      break;
  }
  if (job.scratch.get_size() > 0)
    args.emplace(DNNL_ARG_SCRATCHPAD, at(job.scratch, (*job.scratchpads)[s].raw()));
  job.primitive.execute((*job.streams)[s], args);
  (*job.streams)[s].wait();
}

std::int64_t Primitives::weight_elements(const Job& job) {
  return static_cast<std::int64_t>(job.weights.get_size() / sizeof(float));
}

Tensor Primitives::unpack_gradient(const Job& job, const float* packed, const Shape& shape) {
  State& s = *state_;
  const ConvGeometry& g = job.geometry;
  Tensor plain({shape[0], shape[1] * merged_groups(g), shape[2], shape[3]});
  const OmpThreads one_thread(1);
  dnnl::memory from(job.weights, s.engine, const_cast<float*>(packed));
  dnnl::memory to(s.plain_weights(g), s.engine, plain.raw());
  dnnl::reorder(from, to).execute(s.streams[0], from, to);
  s.streams[0].wait();
  return part_groups(plain, g);
}

/// Whether oneDNN has kernels for bf16 here: from AVX-512 on, unless DNNL_MAX_CPU_ISA forbids it.
static bool multiplies_bf16() {
  constexpr auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  static const bool can = (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & needed) == needed;
  return can;
}

DType kernel_type(const ConvGeometry& g) {
  return g.dtype == DType::bf16 && !multiplies_bf16() ? DType::f32 : g.dtype;
}

std::int64_t merged_groups(const ConvGeometry& g) {
  const std::int64_t wide = std::max(g.c, g.o) / g.spec.groups;
  std::int64_t merged = 1;
  while (g.c > g.spec.groups && wide * merged < 8 && g.spec.groups / merged % 2 == 0) merged *= 2;
  return merged;
}

namespace {

/// run(job, piece, slot) for all pieces.
template <class Run>
void over_pieces(Primitives& conv, const Pieces& pieces, Direction direction, const Tensor& weights,
                 std::uint64_t version, const Run& run) {
  std::vector<const Job*> jobs;
  for (const Pieces::Kind& k : pieces.kinds)
    jobs.push_back(&conv.prepare(direction, k.geometry, k.images, 1, weights, version, k.block));
  parallel_tasks(std::ssize(pieces.all), [&](std::int64_t i, int slot) {
    const Piece& piece = pieces.all[static_cast<std::size_t>(i)];
    run(*jobs[piece.kind], piece, slot);
  });
  conv.drop_scratchpads();
}

/// Copies columns [first, first + each) of `map`, of which each of `pixels` rows has `channels`, to
/// `block`, or back.
void copy_columns(void* map, std::int64_t pixels, std::int64_t channels, std::int64_t first,
                  std::int64_t each, DType type, void* block, bool back) {
  const auto bytes = static_cast<std::int64_t>(size_of(type));
  for (std::int64_t p = 0; p < pixels; ++p) {
    char* const at = static_cast<char*>(map) + (p * channels + first) * bytes;
    char* const own = static_cast<char*>(block) + p * each * bytes;
    std::memcpy(back ? at : own, back ? own : at, static_cast<std::size_t>(each * bytes));
  }
}

constexpr std::int64_t all = std::numeric_limits<std::int64_t>::max() / 2;

/// y = max(0, y), NaN staying NaN.
void relu(void* y, std::int64_t elements, DType type) {
  dispatch_float(type, "conv2d", [&](auto tag) {
    using T = decltype(tag);
    parallel_for(elements, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      simd::channel_kernels<T>().relu(static_cast<T*>(y) + begin, end - begin);
    });
  });
}

/// Images a job: one where gates are an image's own; where a ReLU follows so many that their maps
/// are still in the second-level cache when it comes.
std::int64_t images_at_once(const ConvGeometry& g) {
  if (g.epilogue.gates) return 1;
  if (!g.epilogue.relu) return all;
  const auto bytes = g.y_image() * static_cast<std::int64_t>(size_of(g.dtype));
  return std::max<std::int64_t>(
      1, processor().second_level_cache / 2 / std::max<std::int64_t>(1, bytes));
}

const char* offset(const void* p, std::int64_t elements, DType type) {
  return static_cast<const char*>(p) + static_cast<std::size_t>(elements) * size_of(type);
}

}  // namespace

namespace {

/// Whether the kernel table has nothing against any direction of it on one thread.
bool is_trusted(const ConvGeometry& g, std::int64_t images) {
  Primitives conv;
  for (const Direction d :
       {Direction::forward, Direction::backward_data, Direction::backward_weights})
    if (!conv.why_not(d, g, images, 1).empty()) return false;
  return true;
}

/// Whether oneDNN convolves a few maps as the own direct convolution does, in all directions and
/// both types.
bool known_convolutions_are_right() {
  set_num_threads(1);
  Generator rng(1);
  bool right = true;
  struct Form {
    std::int64_t c, o, window, stride = 1, groups = 1;
  };
  // Channels that fill vectors, and that do not, for which packed weights are padded: oneDNN 3.7.2
  // is right with the first and wrong with the second on a Zen 5 that does not tell its caches.
  const Form forms[] = {{32, 48, 1}, {32, 48, 3}, {12, 13, 1},    {12, 13, 3},
                        {21, 16, 3}, {7, 52, 1},  {21, 16, 3, 2}, {9, 9, 3, 1, 9}};
  for (const DType type : {DType::f32, DType::bf16})
    for (const auto& [c, o, window, stride, groups] : forms) {
      const std::int64_t images = 2, side = 12, out = (side - 1) / stride + 1;
      const Tensor x = Tensor::randn({images, side, side, c}, rng).to(type),
                   dy = Tensor::randn({images, out, out, o}, rng).to(type),
                   w = Tensor::randn({o, c / groups, window, window}, rng);
      const ConvGeometry g = geometry_of(
          x.shape(), w.shape(), {.stride = stride, .padding = window / 2, .groups = groups}, type,
          /*bias=*/false);
      if (kernel_type(g) != type || !is_trusted(g, images)) continue;
      Tensor y(dy.shape(), type), y2(dy.shape(), type), dx(x.shape(), type), dx2(x.shape(), type);
      Primitives conv;
      forward(conv, g, images, w, 1, x.raw(), nullptr, y.raw());
      direct::forward(g, images, w, x.raw(), nullptr, y2.raw(), {});
      backward_data(conv, g, images, w, 1, dy.raw(), dx.raw());
      direct::backward_data(g, images, w, dy.raw(), dx2.raw());
      const Tensor dw = backward_weights(conv, g, images, w.shape(), x.raw(), dy.raw());
      const Tensor dw2 = direct::backward_weights(g, images, w.shape(), x.raw(), dy.raw());
      const double allowed = type == DType::bf16 ? 0x1p-7 : 1e-5;
      const auto near = [&](const Tensor& a, const Tensor& b) {
        double largest = 0, off = 0;
        for (std::int64_t i = 0; i < a.numel(); ++i) {
          largest = std::max(largest, std::abs(b.at(i)));
          const double d = std::abs(a.at(i) - b.at(i));
          off = d <= off ? off : d;  // NaN stays
        }
        return off <= allowed * largest;
      };
      right = right && near(y, y2) && near(dx, dx2) && near(dw, dw2);
    }
  return right;
}

std::string find_doubts() {
  if (version().major < 3 || !caches_are_untold()) return {};
  const std::string wrong = tried(known_convolutions_are_right);
  if (wrong.empty()) return {};
  const Version v = version();
  std::ostringstream text;
  text << "oneDNN " << v.major << '.' << v.minor << '.' << v.patch << ' ' << wrong
       << " on this machine, which does not tell the sizes of its caches (CPUID 8000001D is "
          "empty); convolutions run by kernels of our own";
  return text.str();
}

}  // namespace

std::string version_text() {
  const Version v = version();
  return std::to_string(v.major) + '.' + std::to_string(v.minor) + '.' + std::to_string(v.patch);
}

std::string doubts() {
  static const std::string found = find_doubts();
  return found;
}

bool takes(Primitives& conv, Direction direction, const ConvGeometry& g, std::int64_t images) {
  static const bool trusted = doubts().empty();
  if (!trusted) return false;
  if (direction == Direction::backward_weights) {
    const GradientTasks tasks(g, images);
    return std::ranges::all_of(tasks.counts(), [&](std::int64_t count) {
      return conv.why_not(direction, tasks.geometry, count, 1).empty();
    });
  }
  const Pieces pieces(g, images, direction,
                      direction == Direction::forward ? images_at_once(g) : all);
  return std::ranges::all_of(pieces.kinds, [&](const Pieces::Kind& k) {
    return conv.why_not(direction, k.geometry, k.images, 1, k.block).empty();
  });
}

void forward(Primitives& conv, const ConvGeometry& g, std::int64_t images, const Tensor& weights,
             std::uint64_t version, const void* x, const float* bias, void* y,
             const EpilogueInputs& epilogue) {
  const Pieces pieces(g, images, Direction::forward, images_at_once(g));
  const auto at = [&](const void* maps, std::int64_t element) {
    return const_cast<char*>(offset(maps, element, g.dtype));
  };
  over_pieces(conv, pieces, Direction::forward, weights, version,
              [&](const Job& job, const Piece& piece, int slot) {
                const ConvGeometry& own = job.geometry;
                const std::int64_t elements = job.images * own.y_image(),
                                   first = job.block.index * own.o;  // output channel
                const bool block = job.block.of > 1;
                // A block of channels is computed beside the map, and its part of the shortcut,
                // too.
                Tensor aside, shortcut;
                if (block) aside = Tensor({elements}, g.dtype);
                char* const out = block ? static_cast<char*>(aside.raw()) : at(y, piece.y);
                const auto columns = [&](void* map, void* to, bool back) {
                  copy_columns(map, job.images * own.oh * own.ow, g.o, first, own.o, g.dtype, to,
                               back);
                };
                const void* added = epilogue.shortcut ? at(epilogue.shortcut, piece.y) : nullptr;
                if (block && added) {
                  shortcut = Tensor({elements}, g.dtype);
                  columns(const_cast<void*>(added), shortcut.raw(), false);
                  added = shortcut.raw();
                }
                Primitives::run(
                    job, slot, at(x, piece.x), bias ? bias + first : nullptr, out,
                    {epilogue.gates ? epilogue.gates + piece.image * g.o + first : nullptr, added});
                if (g.epilogue.relu) relu(out, elements, g.dtype);
                if (block) columns(at(y, piece.y), out, true);
              });
}

void backward_data(Primitives& conv, const ConvGeometry& g, std::int64_t images,
                   const Tensor& weights, std::uint64_t version, const void* dy, void* dx) {
  over_pieces(conv, Pieces(g, images, Direction::backward_data, all), Direction::backward_data,
              weights, version, [&](const Job& job, const Piece& piece, int slot) {
                const ConvGeometry& own = job.geometry;
                const bool block = job.block.of > 1;
                Tensor aside;
                if (block) aside = Tensor({job.images * own.x_image()}, g.dtype);
                char* const map = const_cast<char*>(offset(dx, piece.x, g.dtype));
                Primitives::run(job, slot, offset(dy, piece.y, g.dtype), nullptr,
                                block ? aside.raw() : map);
                if (block)
                  copy_columns(map, job.images * own.h * own.w, g.c, job.block.index * own.c, own.c,
                               g.dtype, aside.raw(), true);
              });
}

Tensor backward_weights(Primitives& conv, const ConvGeometry& g, std::int64_t images,
                        const Shape& weight_shape, const void* x, const void* dy) {
  const GradientTasks tasks(g, images);
  const ConvGeometry& of_block = tasks.geometry;
  const std::int64_t blocks = tasks.blocks;
  // Jobs for other numbers of images take the layout of the first.
  std::map<std::int64_t, const Job*> jobs;
  std::int64_t largest = 0;
  for (const std::int64_t count : tasks.counts()) {
    jobs[count] = &conv.prepare(Direction::backward_weights, of_block, count, 1, {}, 0);
    largest = std::max(largest, count);
  }
  const Job& any = *jobs.begin()->second;
  const std::int64_t elements = Primitives::weight_elements(any);
  Tensor partial({tasks.leaves.count, blocks, elements});
  Tensor dy_blocks;  // one a slot
  if (blocks > 1) dy_blocks = Tensor({num_threads(), largest * of_block.y_image()}, g.dtype);
  parallel_tasks(tasks.leaves.count * blocks, [&](std::int64_t task, int slot) {
    const Chunk p = tasks.leaves[task / blocks];
    const std::int64_t block = task % blocks, count = p.end - p.begin;
    const void* d = offset(dy, p.begin * g.y_image(), g.dtype);
    if (blocks > 1) {
      void* const own =
          const_cast<char*>(offset(dy_blocks.raw(), slot * dy_blocks.dim(1), g.dtype));
      copy_columns(const_cast<void*>(d), count * g.oh * g.ow, g.o, block * of_block.o, of_block.o,
                   g.dtype, own, false);
      d = own;
    }
    Primitives::run(*jobs.at(count), slot, offset(x, p.begin * g.x_image(), g.dtype), d,
                    partial.data<float>() + task * elements);
  });
  conv.drop_scratchpads();
  fold_leaves(partial.data<float>(), tasks.leaves.count, blocks * elements);
  if (blocks == 1) return conv.unpack_gradient(any, partial.data<float>(), weight_shape);
  Tensor dw(weight_shape);
  const std::int64_t each = dw.numel() / blocks;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const Tensor part = conv.unpack_gradient(
        any, partial.data<float>() + b * elements,
        {weight_shape[0] / blocks, weight_shape[1], weight_shape[2], weight_shape[3]});
    std::copy_n(part.data<float>(), each, dw.data<float>() + b * each);
  }
  return dw;
}

}  // namespace exciton::ops::onednn
