#include "ops/onednn/convolution.hpp"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/threads.hpp"
#include "ops/onednn/descriptors.hpp"
#include "ops/processor.hpp"
#include "ops/simd/channel_kernels.hpp"

namespace exciton::ops::onednn {
namespace {

/// oneDNN sizes its work for OpenMP's thread count at creation and at execution; both must agree.
class OmpThreads {
 public:
  explicit OmpThreads(int wanted) : before_(omp_get_max_threads()) {
    const int n = granted(wanted);
    if (n != before_) omp_set_num_threads(n);
  }
  ~OmpThreads() {
    if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
  }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  /// A build without OpenMP threads of ours wants none of oneDNN's: ThreadSanitizer cannot see
  /// their barriers.
  static int granted(int wanted) {
#ifdef EXCITON_STD_THREADS
    static_cast<void>(wanted);
    return 1;
#else
    return wanted;
#endif
  }
  int before_;
};

dnnl::memory::data_type type_of(DType t) {
  return t == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

/// Copies between weights [O, C/groups, kH, kW] and those of joined groups [O, joined C/groups, kH,
/// kW], where output o reads the channels of its own group: f(row of the former, its place in the
/// latter, elements).
template <class F>
void each_own_row(const ConvGeometry& g, F&& f) {
  const std::int64_t join = joined(g), row = g.c / g.spec.groups * g.kh * g.kw;
  for (std::int64_t o = 0; o < g.o; ++o) {
    const std::int64_t group = o / (g.o / g.spec.groups);
    f(o * row, (o * join + group % join) * row, row);
  }
}

Tensor join_groups(const Tensor& weights, const ConvGeometry& g) {
  if (joined(g) == 1) return weights;
  const Shape& w = weights.shape();
  Tensor wide = Tensor::zeros({w[0], w[1] * joined(g), w[2], w[3]});
  each_own_row(g, [&](std::int64_t from, std::int64_t to, std::int64_t n) {
    std::copy_n(weights.data<float>() + from, n, wide.data<float>() + to);
  });
  return wide;
}

Tensor part_groups(const Tensor& wide, const ConvGeometry& g) {
  if (joined(g) == 1) return wide;
  const Shape& w = wide.shape();
  Tensor weights({w[0], w[1] / joined(g), w[2], w[3]});
  each_own_row(g, [&](std::int64_t to, std::int64_t from, std::int64_t n) {
    std::copy_n(wide.data<float>() + from, n, weights.data<float>() + to);
  });
  return weights;
}

struct Packed {
  dnnl::memory::desc desc;
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
  int threads = 1;
  dnnl::primitive primitive;
  dnnl::memory::desc src, dst, weights, bias, scratch;
  Packed* packed = nullptr;
  dnnl::engine engine;
  std::vector<dnnl::stream>* streams = nullptr;
  std::vector<Tensor>* scratchpads = nullptr;
};

struct Convolution::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::vector<dnnl::stream> streams;  // one a slot
  std::vector<Tensor> scratchpads;    // one a slot, u8
  std::deque<Job> jobs;               // deque: references stay valid
  std::deque<Packed> packed;

  static ConvDims dims(const ConvGeometry& g, std::int64_t images, DType weight_type) {
    using dnnl::memory;
    using tag = memory::format_tag;
    const ConvSpec& s = g.spec;
    const std::int64_t groups = s.groups / joined(g);
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
    return d;
  }

  dnnl::memory::desc plain_weights(const ConvGeometry& g) const {
    using tag = dnnl::memory::format_tag;
    const ConvDims d = dims(g, 1, DType::f32);
    return {d.weights.dims(), dnnl::memory::data_type::f32,
            g.spec.groups == joined(g) ? tag::oihw : tag::goihw};
  }

  /// oneDNN offers its kernels in an order that fits wide layers. For few channels in bf16 without
  /// AMX its batch-reduce kernel, offered first, takes up to twice the time of the direct one
  /// (measured, 16 to 32 channels); take the next that is none.
  template <class Desc>
  static void skip_batch_reduce(Desc& pd, const ConvGeometry& g) {
    if (g.dtype != DType::bf16 || g.c > 32 || processor().amx) return;
    Desc next = pd;
    while (std::string_view(next.impl_info_str()).starts_with("brgconv"))
      if (!next.next_impl()) return;
    if (std::string_view(next.impl_info_str()).starts_with("jit")) pd = next;
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
    skip_batch_reduce(hint, g);
    switch (job.direction) {
      case Direction::forward: {
        job.primitive = dnnl::convolution_forward(hint);
        job.weights = hint.weights_desc();
        job.scratch = hint.scratchpad_desc();
        break;
      }
      case Direction::backward_data: {
        const auto pd = backward_data_desc(engine, d, hint, attr);
        job.primitive = dnnl::convolution_backward_data(pd);
        job.weights = pd.weights_desc();
        job.scratch = pd.scratchpad_desc();
        break;
      }
      case Direction::backward_weights: {
        d.weights = dims(g, job.images, DType::f32).weights;
        for (const Job& other : jobs)  // partial sums of uneven pieces need one layout
          if (&other != &job && other.direction == job.direction && other.geometry == g)
            d.weights = other.weights;
        const auto pd = backward_weights_desc(engine, d, hint, attr);
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
      if (p.desc == job.weights) found = &p;
    if (!found) {
      found = &packed.emplace_back();
      found->desc = job.weights;
    }
    if (found->storage.empty() || found->version != version) {
      if (found->storage.empty())
        found->storage = Tensor({static_cast<std::int64_t>(job.weights.get_size())}, DType::u8);
      found->memory = dnnl::memory(job.weights, engine, found->storage.raw());
      const Tensor joined = join_groups(weights, job.geometry);
      const OmpThreads all(num_threads());
      dnnl::memory plain(plain_weights(job.geometry), engine, const_cast<void*>(joined.raw()));
      dnnl::reorder(plain, found->memory).execute(streams[0], plain, found->memory);
      streams[0].wait();
      found->version = version;
    }
    return found;
  }
};

Convolution::Convolution() : state_(std::make_unique<State>()) {}
Convolution::~Convolution() = default;

const Job& Convolution::prepare(Direction direction, const ConvGeometry& geometry,
                                std::int64_t images, int threads, const Tensor& weights,
                                std::uint64_t version) {
  State& s = *state_;
  const auto slots = static_cast<std::size_t>(num_threads());
  while (s.streams.size() < slots) s.streams.emplace_back(s.engine);
  if (s.scratchpads.size() < slots) s.scratchpads.resize(slots);
  Job* job = nullptr;
  for (Job& j : s.jobs)
    if (j.direction == direction && j.images == images && j.threads == threads &&
        j.geometry == geometry)
      job = &j;
  if (!job) {
    Job& fresh = s.jobs.emplace_back();
    fresh.direction = direction;
    fresh.geometry = geometry;
    fresh.images = images;
    fresh.threads = threads;
    try {
      s.make(fresh);
    } catch (const dnnl::error& e) {
      s.jobs.pop_back();
      fail("conv2d: oneDNN has no ", geometry.dtype, " kernel for ", geometry.c, " -> ", geometry.o,
           " channels, ", geometry.kh, "x", geometry.kw, ", groups ", geometry.spec.groups,
           " on this processor (", e.message, ")");
    }
    job = &fresh;
  }
  const auto need = static_cast<std::int64_t>(job->scratch.get_size());
  for (std::size_t t = 0; t < (threads == 1 ? slots : 1); ++t)
    if (s.scratchpads[t].numel() < need) s.scratchpads[t] = Tensor({need}, DType::u8);
  if (direction != Direction::backward_weights) job->packed = s.pack(*job, weights, version);
  return *job;
}

void Convolution::drop_scratchpads() {
  for (Tensor& t : state_->scratchpads) t = Tensor();
}

void Convolution::drop_weights() {
  for (Packed& p : state_->packed) p.storage = Tensor();
}

void Convolution::run(const Job& job, int slot, const void* first, const void* second, void* result,
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

std::int64_t Convolution::weight_elements(const Job& job) {
  return static_cast<std::int64_t>(job.weights.get_size() / sizeof(float));
}

Tensor Convolution::unpack_gradient(const Job& job, const float* packed, const Shape& shape) {
  State& s = *state_;
  const ConvGeometry& g = job.geometry;
  Tensor plain({shape[0], shape[1] * joined(g), shape[2], shape[3]});
  const OmpThreads all(num_threads());
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
  // oneDNN 2.6's 1x1 kernel on AVX512_BF16 adds wrong pixels of the shortcut to some map sizes
  // where the input channels are odd.
  const bool wrong =
      processor().bf16 && g.epilogue.shortcut && g.kh == 1 && g.kw == 1 && g.c % 2 != 0;
  return g.dtype == DType::bf16 && (!multiplies_bf16() || wrong) ? DType::f32 : g.dtype;
}

Tensor kernel_weights(const Tensor& weights, const ConvGeometry& g) {
  return kernel_type(g) == g.dtype ? weights : weights.to(g.dtype).to(DType::f32);
}

std::int64_t joined(const ConvGeometry& g) {
  const std::int64_t wide = std::max(g.c, g.o) / g.spec.groups;
  std::int64_t join = 1;
  while (g.c > g.spec.groups && wide * join < 8 && g.spec.groups / join % 2 == 0) join *= 2;
  return join;
}

namespace {

/// Runs jobs over the batch: one contiguous piece of images a thread, at most `most` images at a
/// time, or, with fewer images than threads, each job on all threads.
template <class Prepare, class Run>
void over_pieces(std::int64_t images, std::int64_t most, Prepare&& prepare, Run&& run) {
  const int threads = num_threads();
  if (threads > 1 && images < threads) {
    for (std::int64_t n = 0; n < images; n += most)
      run(prepare(std::min(most, images - n), threads), 0, n);
    return;
  }
  // Pieces come in at most two sizes, so jobs come in at most three.
  const auto jobs_of = [&](const Piece& p, auto&& f) {
    for (std::int64_t n = p.begin; n < p.end; n += most) f(n, std::min(most, p.end - n));
  };
  std::map<std::int64_t, const Job*> jobs;
  for (int t = 0; t < threads; ++t)
    jobs_of(piece_of(images, t, threads), [&](std::int64_t, std::int64_t count) {
      const Job*& job = jobs[count];
      if (!job) job = &prepare(count, 1);
    });
  parallel([&](int t, int n) {
    // A serial caller (n = 1 inside another parallel loop) does all pieces itself.
    for (int k = t; k < threads; k += n)
      jobs_of(piece_of(images, k, threads),
              [&](std::int64_t first, std::int64_t count) { run(*jobs.at(count), k, first); });
  });
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

void forward(Convolution& conv, const ConvGeometry& g, std::int64_t images, const Tensor& weights,
             std::uint64_t version, const void* x, const float* bias, void* y,
             const EpilogueInputs& epilogue) {
  const auto run = [&](const Job& job, int slot, std::int64_t first) {
    const auto at = [&](const void* maps, std::int64_t image) {
      return const_cast<char*>(offset(maps, first * image, g.dtype));
    };
    Convolution::run(job, slot, at(x, g.x_image()), bias, at(y, g.y_image()),
                     {epilogue.gates ? epilogue.gates + first * g.o : nullptr,
                      epilogue.shortcut ? at(epilogue.shortcut, g.y_image()) : nullptr});
    if (g.epilogue.relu) relu(at(y, g.y_image()), job.images * g.y_image(), g.dtype);
  };
  over_pieces(
      images, images_at_once(g),
      [&](std::int64_t n, int threads) -> const Job& {
        return conv.prepare(Direction::forward, g, n, threads, weights, version);
      },
      run);
  conv.drop_scratchpads();
}

void backward_data(Convolution& conv, const ConvGeometry& g, std::int64_t images,
                   const Tensor& weights, std::uint64_t version, const void* dy, void* dx) {
  over_pieces(
      images, all,
      [&](std::int64_t n, int threads) -> const Job& {
        return conv.prepare(Direction::backward_data, g, n, threads, weights, version);
      },
      [&](const Job& job, int slot, std::int64_t first) {
        Convolution::run(job, slot, offset(dy, first * g.y_image(), g.dtype), nullptr,
                         const_cast<char*>(offset(dx, first * g.x_image(), g.dtype)));
      });
  conv.drop_scratchpads();
}

bool splits_weight_gradient(const ConvGeometry& g, std::int64_t images) {
  const int threads = num_threads();
  if (images < threads) return false;
  const std::int64_t weights = g.o * (g.c / g.spec.groups) * g.kh * g.kw;
  return weights * 8 * threads <= images * (g.x_image() + g.y_image());
}

Tensor backward_weights(Convolution& conv, const ConvGeometry& g, std::int64_t images,
                        const Shape& weight_shape, const void* x, const void* dy) {
  const int threads = num_threads();
  if (threads == 1 || !splits_weight_gradient(g, images)) {
    const Job& job = conv.prepare(Direction::backward_weights, g, images, threads, {}, 0);
    Tensor packed({Convolution::weight_elements(job)});
    Convolution::run(job, 0, x, dy, packed.data<float>());
    conv.drop_scratchpads();
    return conv.unpack_gradient(job, packed.data<float>(), weight_shape);
  }
  // Pieces of another size take the layout of the first.
  const Job& first =
      conv.prepare(Direction::backward_weights, g, piece_of(images, 0, threads).end, 1, {}, 0);
  const std::int64_t elements = Convolution::weight_elements(first);
  Tensor partial({threads, elements});
  float* sums = partial.data<float>();
  over_pieces(
      images, all,
      [&](std::int64_t n, int job_threads) -> const Job& {
        return conv.prepare(Direction::backward_weights, g, n, job_threads, {}, 0);
      },
      [&](const Job& job, int slot, std::int64_t image) {
        Convolution::run(job, slot, offset(x, image * g.x_image(), g.dtype),
                         offset(dy, image * g.y_image(), g.dtype), sums + slot * elements);
      });
  conv.drop_scratchpads();
  parallel_for(elements, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for (int t = 1; t < threads; ++t)
      for (std::int64_t i = begin; i < end; ++i) sums[i] += sums[t * elements + i];
  });
  return conv.unpack_gradient(first, sums, weight_shape);
}

}  // namespace exciton::ops::onednn
