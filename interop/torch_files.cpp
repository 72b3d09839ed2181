#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"
#include "exciton/interop/containers.hpp"
#include "exciton/interop/elements.hpp"
#include "exciton/interop/torch.hpp"

namespace exciton::interop {
namespace {

/// What describes the tensors is small beside them: a thousand layers need less than a megabyte.
constexpr std::uint64_t max_pickle_bytes = std::uint64_t{64} << 20;

/// The magic number of a stream, as protocol 1 writes it: in digits, for 64 bits do not hold it.
constexpr std::string_view magic_in_digits = "L119547037146038801333356L\n.";

/// Takes over what was found.
void take(TorchTensors& found, WeightFile& file) {
  file.key = found.key;
  file.tensors = found.tensors;
  file.skipped = std::move(found.skipped);
}

/// NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder.
class TorchZip final : public WeightFile {
 public:
  TorchZip(std::unique_ptr<Zip> zip, const OpenOptions& options)
      : zip_(std::move(zip)), who_("weights: " + zip_->path().string()) {
    path = zip_->path();
    container = "PyTorch (zip)";
    const std::size_t main = main_entry();
    const std::string name = zip_->entries()[main].name;
    const std::string folder = name.substr(0, name.size() - std::string("data.pkl").size());
    check(zip_->find(folder + "constants.pkl") == zip_->entries().size(), who_,
          ": a TorchScript program, no state_dict; in Python: "
          "torch.save(torch.jit.load(FILE).state_dict(), \"weights.pth\")");
    if (const std::size_t order = zip_->find(folder + "byteorder");
        order < zip_->entries().size()) {
      const auto text = zip_->contents(order, 16);
      check(std::string(text.begin(), text.end()) == "little", who_,
            ": written on a big-endian machine");
    }
    const data::Pickle pickle =
        parse_torch_pickle(zip_->contents(main, max_pickle_bytes), path.string());
    found_ = torch_tensors(pickle.root(), options.key, who_);
    for (const TorchStorage& storage : found_.storages) {
      const std::size_t entry = zip_->find(folder + "data/" + storage.key);
      check(entry < zip_->entries().size(), who_, ": has no storage ", shortened(storage.key, 40));
      std::int64_t bytes = 0;
      check(!__builtin_mul_overflow(storage.count, size_of(storage.type), &bytes) &&
                static_cast<std::uint64_t>(bytes) == zip_->entries()[entry].bytes,
            who_, ": storage ", shortened(storage.key, 40), " should hold ", storage.count,
            " elements of ", name_of(storage.type), ", it has ", zip_->entries()[entry].bytes,
            " bytes");
      entries_.push_back(entry);
    }
    take(found_, *this);
  }

  void read(const std::vector<bool>& wanted, const ValueSink& sink) const override {
    std::vector<bool> asked(zip_->entries().size());
    std::map<std::size_t, std::size_t> storages;  // by entry
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (wanted[i] && elements_of(tensors[i].shape, tensors[i].name) > 0) {
        const std::size_t entry = entries_[found_.views[i].storage];
        asked[entry] = true;
        storages[entry] = found_.views[i].storage;
      }
    const StorageReader reader(found_, who_);
    zip_->visit(asked, [&](std::size_t entry, const Zip::Read& next) {
      reader.read(storages.at(entry), wanted, next, sink);
    });
  }

 private:
  /// The one entry that ends in data.pkl.
  std::size_t main_entry() const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < zip_->entries().size(); ++i) {
      const std::string& name = zip_->entries()[i].name;
      if (name == "data.pkl" || name.ends_with("/data.pkl")) found.push_back(i);
    }
    check(found.size() == 1, who_, ": a zip archive with ", found.size(),
          " entries data.pkl; PyTorch's files have one, NumPy's none and .npy files");
    return found[0];
  }

  std::unique_ptr<Zip> zip_;
  std::string who_;
  TorchTensors found_;
  std::vector<std::size_t> entries_;  ///< of each storage
};

/// Five pickles (a magic number, a version, the machine, the object, the keys of its storages),
/// then of each storage the number of its elements and the elements.
class TorchStream final : public WeightFile {
 public:
  TorchStream(const std::filesystem::path& name, const OpenOptions& options)
      : file_(name, File::Mode::read, "weights"), who_("weights: " + name.string()) {
    path = name;
    container = "PyTorch (before 1.6)";
    // How long the pickles are is not told: enough is read, first little.
    const std::uint64_t size = file_.bytes();
    for (std::uint64_t window = std::uint64_t{1} << 20;; window *= 8) {
      const std::uint64_t bytes = std::min({size, window, max_pickle_bytes});
      try {
        open(bytes, options);
        return;
      } catch (const Truncated&) {
        check(bytes == window, who_, ": cut short within the description of its tensors");
      }
    }
  }

  void read(const std::vector<bool>& wanted, const ValueSink& sink) const override {
    const StorageReader reader(found_, who_);
    for (std::size_t i = 0; i < found_.storages.size(); ++i) {
      std::uint64_t at = begins_[i];
      reader.read(
          i, wanted,
          [&](std::span<std::byte> out) {
            file_.read(at, out.data(), out.size());
            at += out.size();
          },
          sink);
    }
  }

 private:
  struct Truncated {};

  void open(std::uint64_t bytes, const OpenOptions& options) {
    std::vector<std::uint8_t> head(static_cast<std::size_t>(bytes));
    file_.read(0, head.data(), head.size());
    std::size_t at = 0;
    const auto next = [&](std::size_t most) {
      const std::size_t end = std::min(head.size(), at + most);
      try {
        data::Pickle pickle = parse_torch_pickle(
            {head.begin() + std::ptrdiff_t(at), head.begin() + std::ptrdiff_t(end)}, path.string());
        at += pickle.bytes_read();
        return pickle;
      } catch (const data::PickleTruncated&) {
        if (head.size() < file_.bytes()) throw Truncated();
        throw;
      }
    };
    constexpr std::size_t small = 64 << 10;
    // The magic number, by which it was known.
    const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
    if (text.starts_with(magic_in_digits))
      at = magic_in_digits.size();
    else
      next(small);
    const std::int64_t version = next(small).root().integer;
    check(version == 1001, who_, ": a PyTorch stream of version ", version, ", 1001 is read");
    {
      const data::Pickle machine = next(small);
      const data::PickleValue* little = machine.root().find("little_endian");
      check(!little || little->integer != 0, who_, ": written on a big-endian machine");
    }
    {
      const data::Pickle object = next(head.size());
      found_ = torch_tensors(object.root(), options.key, who_);
      element_bytes_ = torch_element_bytes(object);
    }
    const data::Pickle keys = next(head.size());
    place_storages(keys.root(), at);
    take(found_, *this);
  }

  void place_storages(const data::PickleValue& keys, std::uint64_t at) {
    check(keys.is(data::PickleValue::Kind::list), who_, ": has no list of storages");
    std::map<std::string_view, std::size_t> numbers;
    for (std::size_t i = 0; i < found_.storages.size(); ++i) numbers[found_.storages[i].key] = i;
    begins_.assign(found_.storages.size(), 0);
    // Storages that no tensor of ours is in lie between: their sizes are those the others say.
    const std::uint64_t size = file_.bytes();
    std::size_t placed = 0;
    for (std::size_t i = 0; i < keys.items.size() && placed < numbers.size(); ++i) {
      check(size >= 8 && at <= size - 8, who_, ": cut short: ", keys.items.size() - i, " of ",
            keys.items.size(), " storages are missing");
      std::int64_t count = 0;
      file_.read(at, &count, sizeof count);
      at += sizeof count;
      const auto found = numbers.find(keys.items[i]->text);
      const auto element = element_bytes_.find(std::string(keys.items[i]->text));
      check(element != element_bytes_.end(), who_,
            ": a storage of unknown type lies before those of the tensors");
      if (found != numbers.end()) {
        TorchStorage& storage = found_.storages[found->second];
        check(count == storage.count, who_, ": storage ", shortened(storage.key, 40),
              " should hold ", storage.count, " elements, it has ", count);
        begins_[found->second] = at;
        ++placed;
      }
      std::int64_t bytes = 0;
      check(count >= 0 && !__builtin_mul_overflow(count, element->second, &bytes) &&
                static_cast<std::uint64_t>(bytes) <= size - at,
            who_, ": cut short: a storage of ", count, " elements lies behind its end");
      at += static_cast<std::uint64_t>(bytes);
    }
    check(placed == numbers.size(), who_, ": of ", numbers.size(), " storages ", placed,
          " are there");
  }

  File file_;
  std::string who_;
  TorchTensors found_;
  std::vector<std::uint64_t> begins_;
  std::map<std::string, std::int64_t> element_bytes_;
};

}  // namespace

std::unique_ptr<WeightFile> open_torch_zip(std::unique_ptr<Zip> zip, const OpenOptions& options) {
  return std::make_unique<TorchZip>(std::move(zip), options);
}

bool is_torch_stream(std::string_view begin) {
  // Later protocols write bytes, behind a frame at most.
  constexpr std::string_view bytes = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  constexpr std::size_t frame = 32;
  return begin.starts_with(magic_in_digits) ||
         (begin.starts_with('\x80') && begin.substr(0, frame).find(bytes) != begin.npos);
}

std::unique_ptr<WeightFile> open_torch_stream(const std::filesystem::path& path,
                                              const OpenOptions& options) {
  return std::make_unique<TorchStream>(path, options);
}

}  // namespace exciton::interop
