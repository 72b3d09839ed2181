#include "exciton/interop/torch.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "exciton/core/error.hpp"
#include "exciton/interop/elements.hpp"

namespace exciton::interop {
namespace {

using data::PickleValue;
using Kind = PickleValue::Kind;

/// Values that are looked at, and dictionaries within one another: a pickle's values may hold
/// themselves, or 2^n of each other.
constexpr std::int64_t max_values = 1'000'000;
constexpr int max_depth = 32;
/// PyTorch's own limit.
constexpr std::size_t max_rank = 64;

struct StorageClass {
  std::string_view name;
  ElementType type;
};
constexpr std::array<StorageClass, 10> storage_classes{{{"FloatStorage", ElementType::f32},
                                                        {"DoubleStorage", ElementType::f64},
                                                        {"HalfStorage", ElementType::f16},
                                                        {"BFloat16Storage", ElementType::bf16},
                                                        {"LongStorage", ElementType::i64},
                                                        {"IntStorage", ElementType::i32},
                                                        {"ShortStorage", ElementType::i16},
                                                        {"CharStorage", ElementType::i8},
                                                        {"ByteStorage", ElementType::u8},
                                                        {"BoolStorage", ElementType::boolean}}};

bool is_text(const PickleValue& v) { return v.is(Kind::text) || v.is(Kind::bytes); }

std::string name_of_global(const PickleValue& v) {
  return shortened(std::string(v.text) + '.' + std::string(v.name), 100);
}

class Finder {
 public:
  Finder(TorchTensors& out, std::string who) : out_(out), who_(std::move(who)) {}

  void find(const PickleValue& root, const std::string& key) {
    const PickleValue* chosen = key.empty() ? choose(root) : follow(root, key);
    out_.key = key.empty() ? chosen_key_ : key;
    flatten(*chosen, "", 0);
    check(!out_.tensors.empty(), who_, ": ", key, ": holds no tensors");
  }

 private:
  struct Pair {
    const PickleValue *key, *value;
  };

  void count() {
    check(++looked_at_ <= max_values, who_, ": more than ", max_values,
          " values, counting those that are shared");
  }

  /// The pairs of a dict, an OrderedDict or a defaultdict; nothing for other values.
  std::optional<std::vector<Pair>> pairs(const PickleValue& v) {
    std::vector<Pair> out;
    const auto put = [&](const std::vector<const PickleValue*>& items) {
      for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
        count();
        out.push_back({items[i], items[i + 1]});
      }
    };
    if (v.is(Kind::dict)) {
      put(v.items);
      return out;
    }
    if (v.calls("collections", "OrderedDict")) {
      const auto& arguments = v.items[1]->items;
      if (!arguments.empty() && arguments[0]->is(Kind::list))  // of Python 2: [[key, value], ...]
        for (const PickleValue* item : arguments[0]->items)
          if (item->items.size() == 2 && (item->is(Kind::list) || item->is(Kind::tuple)))
            put(item->items);
      put(v.put);
      return out;
    }
    if (v.calls("collections", "defaultdict")) {
      put(v.put);
      return out;
    }
    return std::nullopt;
  }

  /// A call of PyTorch's that makes a tensor, by its arguments; nullptr: something else.
  const PickleValue* tensor_call(const PickleValue& v) const {
    const PickleValue* at = &v;
    for (int i = 0; i < 4; ++i) {  // a parameter is a call with a tensor as its first argument
      if (!at->is(Kind::call) || !at->items[0]->is(Kind::global)) return nullptr;
      const std::string_view module = at->items[0]->text, name = at->items[0]->name;
      if (module != "torch._utils" && module != "torch._tensor") return nullptr;
      const auto& arguments = at->items[1]->items;
      if (name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state") {
        check(!arguments.empty(), who_, ": a parameter without a tensor");
        at = arguments[0];
        continue;
      }
      return name.starts_with("_rebuild") ? at : nullptr;
    }
    return nullptr;
  }
  bool is_dictionary_of_tensors(const PickleValue& v) {
    const auto all = pairs(v);
    if (!all) return false;
    return std::ranges::any_of(*all,
                               [&](const Pair& p) { return tensor_call(*p.value) != nullptr; });
  }

  std::string text_of(const PickleValue& key) const {
    if (is_text(key)) return std::string(key.text);
    if (key.is(Kind::integer)) return std::to_string(key.integer);
    return "";
  }

  /// Where there are tensors a dictionary may be meant.
  const PickleValue* choose(const PickleValue& root) {
    if (is_dictionary_of_tensors(root)) return &root;
    if (tensor_call(root)) fail(who_, ": is one tensor, without a name; expected a state_dict");
    const auto all = pairs(root);
    if (!all) {
      if (root.is(Kind::call) && root.items[0]->is(Kind::global))
        fail(who_, ": holds a pickled object, ", name_of_global(*root.items[0]),
             ", no state_dict; in Python: torch.save(model.state_dict(), \"weights.pth\")");
      fail(who_, ": holds ", data::kind_of(root), ", expected a dictionary of tensors");
    }
    std::vector<std::string> known, others, keys;
    std::map<std::string, const PickleValue*> found;
    for (const Pair& p : *all) {
      const std::string name = text_of(*p.key);
      keys.push_back(name);
      if (!is_dictionary_of_tensors(*p.value)) continue;
      found[name] = p.value;
      static constexpr std::string_view usual[] = {
          "state_dict",     "model_state_dict", "model",     "net",    "weights",   "network",
          "state_dict_ema", "model_ema",        "ema_model", "params", "params_ema"};
      (std::ranges::count(usual, name) > 0 ? known : others).push_back(name);
    }
    const std::vector<std::string>& candidates = known.empty() ? others : known;
    if (candidates.size() == 1) {
      chosen_key_ = candidates[0];
      return found.at(candidates[0]);
    }
    if (candidates.empty()) {
      for (const Pair& p : *all)
        check(!p.value->is(Kind::call) || pairs(*p.value) || !p.value->items[0]->is(Kind::global) ||
                  (p.value->state == nullptr),
              who_, ": \"", shortened(text_of(*p.key), 60), "\" holds a pickled object, ",
              p.value->is(Kind::call) && p.value->items[0]->is(Kind::global)
                  ? name_of_global(*p.value->items[0])
                  : "",
              ", no state_dict; in Python: torch.save(model.state_dict(), \"weights.pth\")");
      fail(who_, ": no dictionary of tensors at the top or below it; its keys are ", listing(keys),
           "; a key such as A.B leads to one that lies deeper");
    }
    fail(who_, ": several dictionaries of tensors: ", listing(candidates),
         "; choose one by its key");
  }
  static std::string listing(const std::vector<std::string>& names) {
    std::string out;
    for (std::size_t i = 0; i < names.size() && i < 12; ++i)
      out += (i > 0 ? ", " : "") + shortened(names[i], 60);
    if (names.size() > 12) out += ", and " + std::to_string(names.size() - 12) + " more";
    return names.empty() ? "none" : out;
  }

  const PickleValue* follow(const PickleValue& root, const std::string& key) {
    const PickleValue* at = &root;
    for (std::string_view rest = key; !rest.empty();) {
      const auto all = pairs(*at);
      check(all.has_value(), who_, ": key ", key, ": there is ", data::kind_of(*at),
            " before its end");
      const PickleValue* next = nullptr;
      std::size_t taken = 0;
      std::vector<std::string> keys;
      for (const Pair& p : *all) {  // a key may have dots of its own: the longest that fits
        const std::string name = text_of(*p.key);
        keys.push_back(name);
        const bool fits =
            rest == name || (rest.starts_with(name) && rest.substr(name.size()).starts_with('.'));
        if (fits && !name.empty() && name.size() > taken) {
          next = p.value;
          taken = name.size();
        }
      }
      check(next != nullptr, who_, ": key ", key, ": there is no \"", rest,
            "\"; the keys there are ", listing(keys));
      rest.remove_prefix(std::min(rest.size(), taken + 1));
      at = next;
    }
    check(pairs(*at).has_value(), who_, ": key ", key, ": is ", data::kind_of(*at),
          ", no dictionary of tensors");
    return at;
  }

  void flatten(const PickleValue& dict, const std::string& prefix, int depth) {
    check(depth < max_depth, who_, ": dictionaries nest deeper than ", max_depth);
    const auto all = pairs(dict);
    for (const Pair& p : *all) {
      const std::string name = prefix + text_of(*p.key);
      if (const PickleValue* call = tensor_call(*p.value))
        add(name, *call);
      else if (pairs(*p.value))
        flatten(*p.value, name + '.', depth + 1);
      else
        out_.skipped.push_back(name);
    }
  }

  void add(const std::string& name, const PickleValue& call) {
    const std::string who = who_ + ": " + shortened(name, 100);
    check(names_.insert(name).second, who, ": there are two of them");
    const std::string_view function = call.items[0]->name;
    check(function == "_rebuild_tensor_v2" || function == "_rebuild_tensor" ||
              function == "_rebuild_tensor_v3",
          who, ": is ",
          function == "_rebuild_qtensor"         ? "a quantised tensor"
          : function == "_rebuild_sparse_tensor" ? "a sparse tensor"
                                                 : "a tensor of a form that is not read",
          " (", shortened(function, 60), "); save it as a dense one of floating point");
    const auto& a = call.items[1]->items;
    check(a.size() >= 4, who, ": a tensor of ", a.size(), " arguments");
    const auto numbers = [&](const PickleValue& v, const char* what) {
      check(v.is(Kind::tuple) || v.is(Kind::list), who, ": its ", what, " is ", data::kind_of(v));
      check(v.items.size() <= max_rank, who, ": has ", v.items.size(), " dimensions");
      std::vector<std::int64_t> out;
      for (const PickleValue* n : v.items) {
        check(n->is(Kind::integer) && n->integer >= 0, who, ": its ", what, " holds ",
              n->is(Kind::integer) ? std::to_string(n->integer) : std::string(data::kind_of(*n)));
        out.push_back(n->integer);
      }
      return out;
    };
    StoredTensor tensor{.name = name, .type = {}, .shape = numbers(*a[2], "shape")};
    TorchView view{.storage = {}, .offset = a[1]->integer, .strides = numbers(*a[3], "stride")};
    check(a[1]->is(Kind::integer) && view.offset >= 0, who, ": begins at no place in its storage");
    check(tensor.shape.size() == view.strides.size(), who, ": has ", tensor.shape.size(),
          " extents and ", view.strides.size(), " strides");
    const std::int64_t part = storage(*a[0], who, view.storage, tensor.type);
    check(!__builtin_add_overflow(view.offset, part, &view.offset), who,
          ": begins outside of its storage");
    reach(tensor, view, who);
    out_.tensors.push_back(std::move(tensor));
    out_.views.push_back(std::move(view));
  }

  /// ("storage", class, key, device, count[, view (key, offset, count)]); returns the view's
  /// offset.
  std::int64_t storage(const PickleValue& v, const std::string& who, std::size_t& number,
                       ElementType& type) {
    const PickleValue* id = v.is(Kind::persistent) ? v.items[0] : nullptr;
    check(id && id->is(Kind::tuple) && id->items.size() >= 5 && is_text(*id->items[0]) &&
              id->items[0]->text == "storage" && id->items[1]->is(Kind::global) &&
              is_text(*id->items[2]) && id->items[4]->is(Kind::integer) &&
              id->items[4]->integer >= 0,
          who, ": its storage is not described as PyTorch does");
    const PickleValue& kind = *id->items[1];
    const auto known = std::ranges::find(storage_classes, kind.name, &StorageClass::name);
    const bool quantised = kind.name.starts_with("Q");
    check(known != storage_classes.end() &&
              (kind.text == "torch" || kind.text == "torch.storage" || kind.text == "torch.cuda"),
          who, ": lies in a ", name_of_global(kind), ", which is not read",
          quantised ? "; it is quantised: save the network it was made from" : "");
    type = known->type;
    std::string key(id->items[2]->text);
    std::int64_t count = id->items[4]->integer, offset = 0;
    if (id->items.size() > 5 && id->items[5]->is(Kind::tuple)) {
      const auto& part = id->items[5]->items;
      check(part.size() == 3 && part[1]->is(Kind::integer) && part[2]->is(Kind::integer) &&
                part[1]->integer >= 0 && part[2]->integer >= 0,
            who, ": its part of a storage is not described as PyTorch does");
      check(part[1]->integer <= count && part[2]->integer <= count - part[1]->integer, who,
            ": its part of a storage lies outside of it");
      offset = part[1]->integer;
    }
    const auto [place, added] = storages_.emplace(key, out_.storages.size());
    if (added) out_.storages.push_back({std::move(key), type, count});
    const TorchStorage& own = out_.storages[place->second];
    check(own.type == type && own.count == count, who, ": storage ", shortened(own.key, 40),
          " is described in two ways");
    number = place->second;
    return offset;
  }

  /// Errors: an element would lie outside of the storage.
  void reach(const StoredTensor& tensor, const TorchView& view, const std::string& who) const {
    if (elements_of(tensor.shape, who) == 0) return;
    std::int64_t last = view.offset;
    bool fits = true;
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      std::int64_t step = 0;
      fits = fits && !__builtin_mul_overflow(tensor.shape[axis] - 1, view.strides[axis], &step) &&
             !__builtin_add_overflow(last, step, &last);
    }
    check(fits && last < out_.storages[view.storage].count, who, ": ", shape_text(tensor.shape),
          " reaches outside of its storage of ", out_.storages[view.storage].count, " elements");
  }

  TorchTensors& out_;
  const std::string who_;
  std::string chosen_key_;
  std::int64_t looked_at_ = 0;
  std::set<std::string> names_;
  std::map<std::string, std::size_t> storages_;
};

}  // namespace

data::Pickle parse_torch_pickle(std::vector<std::uint8_t> bytes, const std::string& file) {
  return {std::move(bytes),
          file,
          [](std::string_view, std::string_view) { return true; },
          {.values = 2'000'000}};
}

std::map<std::string, std::int64_t> torch_element_bytes(const data::Pickle& pickle) {
  static constexpr std::pair<std::string_view, std::int64_t> foreign[] = {
      {"QInt8Storage", 1},
      {"QUInt8Storage", 1},
      {"QInt32Storage", 4},
      {"ComplexFloatStorage", 8},
      {"ComplexDoubleStorage", 16}};
  std::map<std::string, std::int64_t> out;
  for (const PickleValue& v : pickle.values()) {
    if (!v.is(Kind::persistent) || v.items[0]->items.size() < 3) continue;
    const PickleValue &kind = *v.items[0]->items[1], &key = *v.items[0]->items[2];
    if (!kind.is(Kind::global) || !is_text(key)) continue;
    if (const auto known = std::ranges::find(storage_classes, kind.name, &StorageClass::name);
        known != storage_classes.end())
      out[std::string(key.text)] = size_of(known->type);
    for (const auto& [name, bytes] : foreign)
      if (kind.name == name) out[std::string(key.text)] = bytes;
  }
  return out;
}

TorchTensors torch_tensors(const PickleValue& root, const std::string& key,
                           const std::string& who) {
  TorchTensors out;
  Finder(out, who).find(root, key);
  return out;
}

void StorageReader::read(std::size_t storage, const std::vector<bool>& wanted, const Next& next,
                         const ValueSink& sink) const {
  // Dense tensors are handed on as the storage passes by. One that is spread is kept from its first
  // element to its last, and sorted then.
  struct Passing {
    std::size_t number;
    std::int64_t begin, end;  // elements of the storage
    bool dense;
    std::vector<std::byte> kept;
  };
  const TorchStorage& own = in_.storages[storage];
  const std::int64_t size = size_of(own.type);
  std::vector<Passing> passing;
  for (std::size_t i = 0; i < in_.tensors.size(); ++i) {
    if (!wanted[i] || in_.views[i].storage != storage) continue;
    const StoredTensor& t = in_.tensors[i];
    const TorchView& v = in_.views[i];
    const std::int64_t count = elements_of(t.shape, t.name);
    if (count == 0) continue;
    Passing p{i, v.offset, v.offset + count, is_dense(t.shape, v.strides), {}};
    if (!p.dense) {
      p.end = v.offset + 1;
      for (std::size_t axis = 0; axis < t.shape.size(); ++axis)
        p.end += (t.shape[axis] - 1) * v.strides[axis];
      // A tensor of few elements must not make us keep a storage of any size, nor a few elements
      // that are repeated make a tensor of any size.
      constexpr std::int64_t spread = 16, small = 1 << 20;
      check(count / spread <= p.end - p.begin + small, who_, ": ", shortened(t.name, 100), ": ",
            count, " elements, all of them among ", p.end - p.begin,
            "; in Python: save its .contiguous()");
      check((p.end - p.begin) / spread <= count + small, who_, ": ", shortened(t.name, 100), ": ",
            count, " elements spread over ", p.end - p.begin,
            "; in Python: save its .contiguous()");
    }
    passing.push_back(std::move(p));
  }
  std::int64_t last = 0;
  for (const Passing& p : passing) last = std::max(last, p.end);
  std::vector<std::byte> bytes;
  std::vector<float> values(static_cast<std::size_t>(std::min(last, piece_elements)));
  for (std::int64_t at = 0; at < last; at += piece_elements) {
    const std::int64_t stop = std::min(last, at + piece_elements);
    bytes.resize(static_cast<std::size_t>((stop - at) * size));
    next(bytes);
    for (Passing& p : passing) {
      const std::int64_t from = std::max(at, p.begin), to = std::min(stop, p.end);
      if (from >= to) continue;
      const std::byte* first = bytes.data() + (from - at) * size;
      if (p.dense) {
        to_f32(own.type, first, to - from, values.data());
        sink(p.number, from - p.begin,
             std::span(values).first(static_cast<std::size_t>(to - from)));
      } else {
        p.kept.insert(p.kept.end(), first, first + (to - from) * size);
      }
    }
  }
  for (const Passing& p : passing)
    if (!p.dense)
      read_strided(in_.tensors[p.number], p.number, in_.views[p.number].strides, p.kept, sink);
}

}  // namespace exciton::interop
