/// What the families in nn/models/ share.
#pragma once
#include "exciton/nn/layers.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {

/// Calls register_<file> of every file in EXCITON_MODELS (nn/CMakeLists.txt), in that order.
void register_all(Registry& registry);

/// Networks for images of 32 pixels and 10 classes, and of 224 and 1000.
Registry::Entry cifar(std::string name, Registry::Factory make, std::int64_t stages);
Registry::Entry imagenet(std::string name, Registry::Factory make, std::int64_t stages = 0);

/// The max pool of kernel 3 and stride 2 that the option `pool` asks for.
ops::PoolSpec strided_pool(const ModelOptions& o);

/// The options that only some families read; all others they refuse, for they would be skipped.
struct Reads {
  bool shortcut = false, stride_on = false, pool = false, activation = false;
  std::vector<std::string> stems = {};  ///< its choices, beside none
};

/// `entry` with a factory that refuses what `reads` does not say.
Registry::Entry reading(Registry::Entry entry, const Reads& reads);
/// A family's member twice: plain by its name, and with SE by "se_" and its name.
void add_with_se(Registry& registry, Registry::Entry plain, const Reads& reads = {});

/// mean - dropout - fc, where nearly all networks end.
struct Head {
  /// `dropout` is the family's own.
  Head(std::int64_t features, double dropout_, const ModelOptions& o, Generator& init)
      : dropout(o.dropout < 0 ? dropout_ : o.dropout, init), fc(features, o.classes, init) {}
  void visit(Visitor& v) {
    v("pool", pool);
    v("dropout", dropout);
    v("fc", fc);
  }
  Var operator()(const Var& x) { return fc(dropout(pool(x))); }
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace exciton::nn::models
