/// What PyTorch's two containers have in common: a pickle that says which tensors are views of
/// which storages.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/data/pickle.hpp"
#include "exciton/interop/weight_file.hpp"

namespace exciton::interop {

/// A piece of memory in the file, by the key it has there.
struct TorchStorage {
  std::string key;
  ElementType type = ElementType::f32;
  std::int64_t count = 0;  ///< elements
};

/// A tensor's place in a storage.
struct TorchView {
  std::size_t storage = 0;
  std::int64_t offset = 0;  ///< elements
  std::vector<std::int64_t> strides;
};

/// The dictionary of tensors that a pickle holds.
struct TorchTensors {
  std::vector<TorchStorage> storages;  ///< those that the tensors are in
  std::vector<StoredTensor> tensors;
  std::vector<TorchView> views;  ///< one a tensor
  std::string key;
  std::vector<std::string> skipped;
};

/// Parses the pickle in `bytes`. Any name may be in it: it stands for itself and is never called.
data::Pickle parse_torch_pickle(std::vector<std::uint8_t> bytes, const std::string& file);

/// Bytes of an element of every storage that the pickle names, by key: also of those that hold no
/// tensor of the dictionary that is read. Storages of unknown types are left out.
std::map<std::string, std::int64_t> torch_element_bytes(const data::Pickle& pickle);

/// Finds the tensors of the dictionary `key` or, where it is empty, of the root, of what is named
/// state_dict, model_state_dict, model, net or weights in it, or of the only dictionary of tensors.
/// `who` begins the messages. Errors: none or several of them; tensors that reach outside of their
/// storage; forms that are not read, by name.
TorchTensors torch_tensors(const data::PickleValue& root, const std::string& key,
                           const std::string& who);

/// Reads tensors that lie in one storage, whose bytes come by `read` from the first to the last,
/// each asked for once and in order.
class StorageReader {
 public:
  StorageReader(const TorchTensors& in, std::string who) : in_(in), who_(std::move(who)) {}
  using Next = std::function<void(std::span<std::byte>)>;
  void read(std::size_t storage, const std::vector<bool>& wanted, const Next& next,
            const ValueSink& sink) const;

 private:
  const TorchTensors& in_;
  std::string who_;
};

}  // namespace exciton::interop
