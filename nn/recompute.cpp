#include "exciton/nn/recompute.hpp"

namespace exciton::nn {
namespace {

/// Values of a module's buffers.
std::vector<Tensor> copies(const std::vector<NamedBuffer>& buffers) {
  std::vector<Tensor> out;
  for (const NamedBuffer& b : buffers) out.push_back(b.tensor->clone());
  return out;
}

void put_back(const std::vector<NamedBuffer>& buffers, const std::vector<Tensor>& values) {
  for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i].tensor->copy_from(values[i]);
}

/// A whole block as one operator. Its parameters are none of the operator's inputs: the second run
/// has a tape of its own, which adds to their gradients.
struct RecomputedBlock {
  static constexpr std::string_view name = "recomputed_block";  // its plain form: the block
  Module::Ref block;  // it may be moved before backward comes
  struct Saved {
    Tensor x;
    std::vector<Tensor> buffers;
  };

  Tensor forward(Saved& saved, const Tensor& x) const {
    Module& module = *block.get();
    saved = {x, copies(buffers(module))};
    return module.run(x).value();
  }

  Grads<1> backward(Saved& saved, Tensor dy, Needs<1>) const {
    Module* const module = block.get();
    check(module != nullptr, name, ": the block was destroyed before backward came to it");
    const auto places = buffers(*module);
    const std::vector<Tensor> now = copies(places);
    put_back(places, saved.buffers);
    Tape tape;
    const Var x = tape.watch(saved.x);
    saved = {};
    const Var y = module->run(x);
    put_back(places, now);
    tape.backward(y, std::move(dy));
    return {tape.gradient(x)};
  }
};

struct RecomputeVisitor final : Visitor {
  explicit RecomputeVisitor(Recompute r) : recompute(r) {}
  Recompute recompute;
  bool used = false;
  void enter(const std::string&, Module& m) override {
    m.recompute = recompute;
    used = used || m.repeats();
  }
};

}  // namespace

void set_recompute(Module& module, Recompute recompute) {
  RecomputeVisitor visitor(recompute);
  visitor.walk(module);
  if (recompute == Recompute::none || visitor.used) return;
  RecomputeVisitor(Recompute::none).walk(module);
  fail("recompute: ", recompute_names.name(recompute), ": ", module.kind(),
       " has no blocks to compute again; try none");
}

Var recomputed(Module& block, const Var& x) { return apply(RecomputedBlock{block.ref()}, x); }

}  // namespace exciton::nn
