/// Data sets, augmentation, the loader.
#include "exciton/data/augment.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/kinds.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/data/memory_dataset.hpp"
#include "exciton/data/subset.hpp"
#include "python/bindings.hpp"

namespace exciton::python {
namespace {

using SharedDataset = std::shared_ptr<const data::Dataset>;
/// pybind11 knows no shared pointers to const; nothing of a Dataset's interface writes to it.
using Held = std::shared_ptr<data::Dataset>;
Held held(const SharedDataset& set) { return std::const_pointer_cast<data::Dataset>(set); }

py::array to_array(const data::Image& image) {
  py::array_t<std::uint8_t> out({image.height, image.width, image.channels});
  std::ranges::copy(image.pixels, out.mutable_data());
  return out;
}

using Pixels = py::array_t<std::uint8_t, py::array::c_style>;

/// [H, W, C], or [H, W] of one channel. Errors: other ranks or element types.
data::Image to_image(py::handle value) {
  const py::array given = py::array::ensure(value);
  check(given && py::isinstance<py::array_t<std::uint8_t>>(given) &&
            (given.ndim() == 2 || given.ndim() == 3),
        "image: expected an array of uint8, [H, W, C] or [H, W]");
  const Pixels pixels = given;
  data::Image out{.height = pixels.shape(0),
                  .width = pixels.shape(1),
                  .channels = pixels.ndim() == 3 ? pixels.shape(2) : 1};
  out.pixels.assign(pixels.data(), pixels.data() + pixels.size());
  return out;
}

/// What a source raised for an image; in Python it is that exception again.
class SourceError final : public Error {
 public:
  SourceError(std::int64_t image, const py::error_already_set& error)
      : Error("data: image " + std::to_string(image) +
              " of the source: " + py::repr(error.value()).cast<std::string>()),
        raised_(error.value()) {}
  void raise() const {
    const auto value = py::reinterpret_borrow<py::object>(raised_.get());
    PyErr_SetObject(py::type::handle_of(value).ptr(), value.ptr());
  }

 private:
  Kept raised_;
};

/// Images that Python has: source[i] is one.
class SourceDataset final : public data::Dataset {
 public:
  SourceDataset(py::object source, std::vector<std::int64_t> labels,
                std::vector<std::string> class_names, std::int64_t channels)
      : source_(std::move(source)),
        labels_(std::move(labels)),
        class_names_(std::move(class_names)),
        channels_(channels) {
    for (const std::int64_t label : labels_)
      check(label >= 0 && label < classes(), "data: label ", label, " is none of ", classes(),
            " classes");
  }
  std::int64_t size() const override { return std::ssize(labels_); }
  std::int64_t label(std::int64_t i) const override {
    check(i >= 0 && i < size(), "data: ", description(), ": no image ", i);
    return labels_[static_cast<std::size_t>(i)];
  }
  void read(std::int64_t i, data::Image& out) const override {
    const py::gil_scoped_acquire lock;
    try {
      out = to_image(source_.get()[py::int_(i)]);
    } catch (const py::error_already_set& error) {
      // From an iterator it would be an end that nobody notices.
      if (error.matches(PyExc_StopIteration))
        fail("data: image ", i, " of the source raised StopIteration");
      // An image that cannot be read, which a loader may leave out; not so an interrupt.
      if (error.matches(PyExc_Exception)) throw SourceError(i, error);
      throw;
    }
    check(out.channels == channels_, "data: image ", i, " has ", out.channels,
          " channels, expected ", channels_);
  }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  std::int64_t channels() const override { return channels_; }
  std::int64_t image_size() const override { return 0; }
  std::string description() const override {
    return std::to_string(size()) + " images of Python's";
  }

 private:
  Kept source_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> class_names_;
  std::int64_t channels_;
};

Held of_arrays(const Pixels& images, const std::vector<std::int64_t>& labels,
               const std::vector<std::string>& class_names) {
  check(images.ndim() == 4, "data: expected images of uint8, [N, H, W, C], got ", images.ndim(),
        " dimensions");
  check(images.shape(0) == std::ssize(labels), "data: ", images.shape(0), " images and ",
        labels.size(), " labels");
  data::MemoryDataset::Contents contents{
      .description = std::to_string(images.shape(0)) + " images in memory",
      .height = images.shape(1),
      .width = images.shape(2),
      .channels = images.shape(3)};
  contents.pixels.assign(images.data(), images.data() + images.size());
  contents.labels = labels;
  contents.class_names = class_names;
  return std::make_shared<data::MemoryDataset>(std::move(contents));
}

/// Stops its workers, which may wait for the interpreter, without holding it.
struct LoaderDeleter {
  void operator()(data::Loader* loader) const {
    std::unique_ptr<data::Loader> owned(loader);
    std::optional<py::gil_scoped_release> unlocked;
    if (PyGILState_Check() != 0) unlocked.emplace();
    owned.reset();
  }
};

/// A loader whose every iteration is the next epoch.
class EpochLoader {
 public:
  EpochLoader(const Held& set, const data::Augment& augment, const data::LoaderOptions& options)
      : loader_(std::make_unique<data::Loader>(set, augment, options).release(), LoaderDeleter()),
        set_(set) {}
  void begin() {
    data::Loader& own = loader();
    const std::int64_t epoch = epoch_++;
    const py::gil_scoped_release unlocked;  // another thread may be taking a batch
    own.start_epoch(epoch);
  }
  /// No more batches; to be called before the interpreter ends, for the workers may want it.
  void close() { loader_.reset(); }
  void set_epoch(std::int64_t epoch) { epoch_ = epoch; }
  data::Batch next() {
    std::optional<data::Batch> batch;
    data::Loader& own = loader();
    {
      const py::gil_scoped_release unlocked;
      batch = own.next();
    }
    stop_on_signals();
    if (!batch) throw py::stop_iteration();
    return std::move(*batch);
  }
  data::Loader& loader() const {
    check(loader_ != nullptr, "DataLoader: is closed, for the interpreter ends");
    return *loader_;
  }
  const Held& dataset() const { return set_; }

 private:
  std::unique_ptr<data::Loader, LoaderDeleter> loader_;
  Held set_;
  std::int64_t epoch_ = 0;
};

void bind_datasets(py::module_& m) {
  py::class_<data::Dataset, Held>(m, "Dataset", "Images by number, with labels.")
      .def("__len__", &data::Dataset::size)
      .def(
          "__getitem__",
          [](const data::Dataset& set, std::int64_t index) {
            if (index < 0) index += set.size();
            if (index < 0 || index >= set.size()) throw py::index_error("no such image");
            data::Image image;
            {
              const py::gil_scoped_release unlocked;
              set.read(index, image);
            }
            return std::make_pair(to_array(image), set.label(index));
          },
          py::arg("index"), "(image [H, W, C] uint8, label)")
      .def("label", &data::Dataset::label, py::arg("index"))
      .def("name", &data::Dataset::name, py::arg("index"),
           "The image's file, or what it is called.")
      .def_property_readonly("class_names", &data::Dataset::class_names)
      .def_property_readonly("channels", &data::Dataset::channels)
      .def_property_readonly("description", &data::Dataset::description)
      .def(
          "subset",
          [](const Held& set, const std::vector<std::int64_t>& indices) -> Held {
            return std::make_shared<data::Subset>(set, indices);
          },
          py::arg("indices"), "These images, in this order.")
      .def(
          "channel_stats",
          [](const data::Dataset& set, std::int64_t at_most) {
            const data::ChannelStats stats = data::channel_stats(set, at_most);
            return std::make_pair(stats.mean, stats.std);
          },
          py::arg("at_most") = 10000, Released(),
          "(mean, std) of each channel, of pixels scaled to 0..1.");
  m.def(
      "open_dataset",
      [](const std::string& dir, const std::string& split, const std::string& kind) {
        return held(data::open_dataset(kind, dir, split));
      },
      py::arg("dir"), py::arg("split") = "train", py::arg("kind") = "auto", Released(),
      "The data set in a folder: CIFAR, MNIST, Fashion-MNIST, images in class folders, tar files. "
      "Errors: nothing found, bad files.");
  m.def("array_dataset", &of_arrays, py::arg("images"), py::arg("labels"), py::arg("class_names"),
        "A data set with a copy of images [N, H, W, C] uint8 and labels [N].");
  m.def(
      "source_dataset",
      [](const py::object& source, const std::vector<std::int64_t>& labels,
         const std::vector<std::string>& class_names, std::int64_t channels) -> Held {
        return std::make_shared<SourceDataset>(source, labels, class_names, channels);
      },
      py::arg("source"), py::arg("labels"), py::arg("class_names"), py::arg("channels") = 3,
      "A data set whose images are source[i], uint8 [H, W, C], read when they are wanted.");
  m.def(
      "register_dataset",
      [](const std::string& name, const py::function& open,
         const std::vector<std::string>& splits) {
        data::kind_registry().add(
            {.name = name,
             .splits =
                 [splits](const std::filesystem::path& dir) {
                   std::vector<data::FoundSplit> out;
                   for (const std::string& split : splits) out.push_back({split, dir});
                   return out;
                 },
             .open = [open = Kept(open)](const std::filesystem::path& dir,
                                         const std::string& split) -> SharedDataset {
               const py::gil_scoped_acquire lock;
               const py::object set = open.get()(dir.string(), split);
               check(py::isinstance<data::Dataset>(set),
                     "register_dataset: expected that open(dir, split) returns a Dataset, got ",
                     py::str(py::type::of(set)).cast<std::string>());
               return set.cast<Held>();
             }});
      },
      py::arg("name"), py::arg("open"),
      py::arg("splits") = std::vector<std::string>{"train", "test"},
      "Lets recipes name a kind of data set, data.kind: open(dir, split) returns a Dataset.");
  m.def(
      "decode_image",
      [](const std::filesystem::path& file, std::int64_t channels) {
        data::Image image;
        {
          const py::gil_scoped_release unlocked;
          image = data::decode_image(file, channels);
        }
        return to_array(image);
      },
      py::arg("file"), py::arg("channels") = 3, "An image file as uint8 [H, W, C].");
}

void bind_augment(py::module_& m) {
  using data::Augment;
  py::class_<Augment>(m, "Augment",
                      "What is done to images on their way into a batch; what is 0 is not done.")
      .def(py::init([](std::int64_t size, std::int64_t shorter_side, std::int64_t pad, bool flip,
                       std::int64_t cutout, const std::vector<float>& mean,
                       const std::vector<float>& std, double rotation, double mixup, double cutmix,
                       double erasing, std::int64_t rand_augment) {
             Augment a{.size = size,
                       .shorter_side = shorter_side,
                       .pad = pad,
                       .flip = flip,
                       .cutout = cutout,
                       .rotation = rotation,
                       .mixup = mixup,
                       .cutmix = cutmix};
             check(mean.size() <= 3 && std.size() <= 3, "augment: at most 3 channels");
             std::ranges::copy(mean, a.mean.begin());
             std::ranges::copy(std, a.std.begin());
             a.erasing.probability = erasing;
             a.rand_augment.operations = rand_augment;
             return a;
           }),
           py::arg("size") = 0, py::arg("shorter_side") = 0, py::arg("pad") = 0,
           py::arg("flip") = false, py::arg("cutout") = 0, py::arg("mean") = std::vector<float>(),
           py::arg("std") = std::vector<float>(), py::arg("rotation") = 0.0, py::arg("mixup") = 0.0,
           py::arg("cutmix") = 0.0, py::arg("erasing") = 0.0, py::arg("rand_augment") = 0)
      .def_readwrite("size", &Augment::size)
      .def_readwrite("pad", &Augment::pad)
      .def_readwrite("flip", &Augment::flip)
      .def_readwrite("cutout", &Augment::cutout)
      .def_readwrite("mean", &Augment::mean)
      .def_readwrite("std", &Augment::std);
}

void bind_loader(py::module_& m) {
  py::class_<data::Batch>(m, "Batch")
      .def(py::init([](const Input& images, const Input& labels) {
             check(!is_floating(labels.var.value().dtype()),
                   "batch: labels are class numbers: expected integers, got ",
                   labels.var.value().dtype());
             return data::Batch{.images = images.var.value(),
                                .labels = labels.var.value().to(DType::i64)};
           }),
           py::arg("images"), py::arg("labels"))
      .def_property_readonly(
          "images", [](const data::Batch& b) { return b.images; }, "[N, H, W, C]")
      .def_property_readonly(
          "labels", [](const data::Batch& b) { return b.labels; }, "[N] i64")
      .def_readonly("indices", &data::Batch::indices, "Which images of the data set.")
      .def_readonly("skipped", &data::Batch::skipped, "Why images are missing.")
      .def_property_readonly(
          "mixing", [](const data::Batch& b) { return b.mixing.weight; },
          "The share of each image in its mixed one; 1 where none are mixed.")
      .def("__iter__",
           [](const data::Batch& b) { return py::iter(py::make_tuple(b.images, b.labels)); });
  // Loaders that were begun and may have workers, so that none outlives the interpreter.
  const py::object open = py::module_::import("weakref").attr("WeakSet")();
  py::module_::import("atexit").attr("register")(py::cpp_function([open] {
    for (const py::handle loader : py::list(open)) loader.cast<EpochLoader&>().close();
  }));
  py::class_<EpochLoader>(m, "DataLoader",
                          "Batches of images and labels, prepared beside the step. Every iteration "
                          "is the next epoch; what is in a batch depends on seed, epoch and number "
                          "alone:\n\n    for images, labels in loader:")
      .def(py::init([](const Held& set, std::int64_t batch_size, bool shuffle, int num_workers,
                       bool drop_last, std::uint64_t seed, const py::object& dtype,
                       const data::Augment& augment, bool balanced, bool skip_errors) {
             return std::make_unique<EpochLoader>(set, augment,
                                                  data::LoaderOptions{.batch = batch_size,
                                                                      .shuffle = shuffle,
                                                                      .balanced = balanced,
                                                                      .drop_last = drop_last,
                                                                      .workers = num_workers,
                                                                      .seed = seed,
                                                                      .dtype = dtype_from(dtype),
                                                                      .skip_errors = skip_errors});
           }),
           py::arg("dataset"), py::arg("batch_size") = 128, py::arg("shuffle") = false,
           py::arg("num_workers") = 1, py::arg("drop_last") = false, py::arg("seed") = 1,
           py::arg("dtype") = "f32", py::arg_v("augment", data::Augment(), "Augment()"),
           py::arg("balanced") = false, py::arg("skip_errors") = false)
      .def(
          "__len__", [](const EpochLoader& l) { return l.loader().batches(); },
          "Batches in an epoch.")
      .def("__iter__",
           [open](const py::object& self) {
             open.attr("add")(self);
             self.cast<EpochLoader&>().begin();
             return self;
           })
      .def("__next__",
           [open](const py::object& self) {
             open.attr("add")(self);
             return self.cast<EpochLoader&>().next();
           })
      .def("set_epoch", &EpochLoader::set_epoch, py::arg("epoch"),
           "Which the next iteration is, from 0.")
      .def_property_readonly("dataset", &EpochLoader::dataset);
}

}  // namespace

void bind_data(py::module_& m) {
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const SourceError& error) {
      error.raise();
    }
  });
  bind_datasets(m);
  bind_augment(m);
  bind_loader(m);
}

}  // namespace exciton::python
