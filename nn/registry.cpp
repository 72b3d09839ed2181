#include "exciton/nn/registry.hpp"

#include <algorithm>
#include <utility>

#include "exciton/core/named_registry.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/models/families.hpp"

namespace exciton::nn {

void Registry::add(Entry entry) {
  for (const Entry& e : entries_)
    check(e.name != entry.name, "registry: two models are called ", entry.name);
  check(entry.image_size >= 1 && entry.classes >= 1, "registry: ", entry.name,
        ": image_size and classes must be at least 1, got ", entry.image_size, " and ",
        entry.classes);
  entries_.push_back(std::move(entry));
}

std::optional<Registry::Entry> Registry::find(const std::string& name) const {
  for (const Entry& e : entries_)
    if (e.name == name) return e;
  for (const Pattern& pattern : patterns_)
    if (std::optional<Entry> made = pattern(name)) return made;
  return {};
}

Registry& model_registry() {
  static Registry all = [] {
    Registry r;
    models::register_all(r);
    return r;
  }();
  return all;
}

namespace {

constexpr NameTable<ops::WinogradProducts, 3> winograd_names{
    "winograd",
    {{{ops::WinogradProducts::f32, "f32"},
      {ops::WinogradProducts::bf16, "bf16"},
      {ops::WinogradProducts::bf16_4x4, "bf16_4x4"}}}};

/// What the options say of all convolutions and batch norms.
struct LayerOptions final : Visitor {
  explicit LayerOptions(const ModelOptions& o)
      : options(o), products(winograd_names.parse(o.winograd)) {}
  void enter(const std::string&, Module& m) override {
    if (auto* const conv = dynamic_cast<Conv2d*>(&m)) conv->spec.winograd_products = products;
    if (auto* const norm = dynamic_cast<BatchNorm*>(&m)) {
      if (options.norm_momentum > 0) norm->options.momentum = options.norm_momentum;
      if (options.norm_eps > 0) norm->options.eps = options.norm_eps;
    }
  }
  const ModelOptions& options;
  ops::WinogradProducts products;
};

}  // namespace

Model make_model(const std::string& name, ModelOptions options, std::uint64_t seed) {
  const std::optional<Registry::Entry> entry = model_registry().find(name);
  if (!entry) {
    std::vector<std::string> known;
    for (const auto& e : model_registry().entries()) known.push_back(e.name);
    const std::vector<std::string> near = nearest(name, known);
    fail("model: unknown name \"", name, "\"; ",
         near.empty() ? "known are " + listed(known) : "nearest are " + listed(near));
  }
  const auto in_range = [&](std::string_view option, std::int64_t value, std::int64_t least,
                            std::int64_t most) {
    check(value >= least && value <= most, name, ": ", option, " must be ", least, " to ", most,
          ", got ", value);
  };
  in_range("classes", options.classes, 0, 1'000'000);
  in_range("image_channels", options.image_channels, 1, 3);
  check(options.dropout < 1, name, ": dropout must be below 1, got ", options.dropout);
  check(options.norm_momentum >= 0 && options.norm_momentum <= 1 && options.norm_eps >= 0, name,
        ": norm: momentum must be in [0, 1] and eps not negative, got ", options.norm_momentum,
        " and ", options.norm_eps);
  check(entry->se || !options.se.enabled, name, ": has no SE blocks; try se_", name);
  check(options.blocks.empty() || entry->stages > 0, name,
        ": has no residual stages, so no blocks to set; leave blocks out");
  check(options.blocks.empty() || static_cast<std::int64_t>(options.blocks.size()) == entry->stages,
        name, ": blocks expects one number a stage, ", entry->stages, ", got ",
        options.blocks.size());
  for (const std::int64_t count : options.blocks) in_range("blocks", count, 1, 1'000);
  options.se.enabled = entry->se;
  check(options.widths.empty() ||
            (entry->widths && static_cast<std::int64_t>(options.widths.size()) == entry->stages),
        name, ": ",
        entry->widths ? "widths expects one value per stage, " : "takes no widths, it has ",
        entry->widths ? std::to_string(entry->stages) : std::string("its own"), ", got ",
        options.widths.size());
  for (const std::int64_t width : options.widths) in_range("widths", width, 1, 8'192);
  if (options.classes == 0) options.classes = entry->classes;
  in_range("image_size", options.image_size, 0, 65'536);
  if (options.image_size == 0) options.image_size = entry->image_size;

  Generator init(seed);
  Model model{.name = name, .options = options, .image_size = options.image_size, .net = {}};
  model.net = entry->make(options, init);
  LayerOptions(options).walk(*model.net);
  return model;
}

}  // namespace exciton::nn
