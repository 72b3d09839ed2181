#include "exciton/data/file_dataset.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>

#include "exciton/data/files.hpp"
#include "exciton/data/fingerprint.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/memory_dataset.hpp"

namespace exciton::data {

void FileIndex::add(std::string_view name, std::int64_t label) {
  text_ += name;
  ends_.push_back(text_.size());
  labels_.push_back(static_cast<std::int32_t>(label));
}

std::string_view FileIndex::name(std::int64_t index) const {
  const auto i = static_cast<std::size_t>(index);
  const std::uint64_t begin = i == 0 ? 0 : ends_[i - 1];
  return std::string_view(text_).substr(begin, ends_[i] - begin);
}

std::uint64_t FileIndex::fingerprint() const {
  std::uint64_t out = hashed(0, text_.data(), text_.size());
  out = hashed(out, ends_.data(), ends_.size() * sizeof ends_[0]);
  return hashed(out, labels_.data(), labels_.size() * sizeof labels_[0]);
}

FileDataset::FileDataset(std::filesystem::path root, FileIndex index,
                         std::vector<std::string> class_names, std::string description,
                         LeftOut left_out)
    : root_(std::move(root)),
      index_(std::move(index)),
      class_names_(std::move(class_names)),
      description_(std::move(description)),
      left_out_(std::move(left_out)) {
  check(size() > 0, "data: ", description_, ": no images");
  for (std::int64_t i = 0; i < size(); ++i)
    if (index_.label(i) < 0 || index_.label(i) >= classes())
      fail("data: ", name(i), " has label ", index_.label(i), ", expected 0 to ", classes() - 1);
}

std::int64_t FileDataset::label(std::int64_t index) const {
  check_index(index);
  return index_.label(index);
}

std::string FileDataset::name(std::int64_t index) const {
  check_index(index);
  return (root_ / index_.name(index)).string();
}

bool FileDataset::fetch(std::int64_t index, std::vector<std::uint8_t>& out) const {
  read_file(name(index), out);
  return true;
}

void FileDataset::read(std::int64_t index, Image& out) const {
  std::vector<std::uint8_t> bytes;
  fetch(index, bytes);
  decode_image(bytes, name(index), channels(), out);
}

void FileDataset::read_view(std::int64_t index, const ViewRequest& request, Image& out) const {
  std::vector<std::uint8_t> bytes;
  fetch(index, bytes);
  decode_view(bytes, name(index), channels(), request, out);
}

void FileDataset::check_index(std::int64_t index) const {
  check(index >= 0 && index < size(), "data: ", description_, ": no image ", index);
}

std::shared_ptr<const Dataset> in_memory_if_small(std::shared_ptr<const FileDataset> files,
                                                  std::size_t memory_limit) {
  const auto count = static_cast<std::size_t>(files->size());
  MemoryDataset::Contents out;
  std::atomic<bool> fits = true;
  try {
    std::vector<std::uint8_t> bytes;
    files->fetch(0, bytes);
    const ImageHeader first = read_image_header(bytes, files->name(0));
    out.height = first.size.height;
    out.width = first.size.width;
    out.channels = files->channels();
    const auto image_bytes = static_cast<std::size_t>(out.height * out.width * out.channels);
    if (image_bytes > memory_limit / count) return files;
    out.pixels.resize(image_bytes * count);
    for_each_index(files->size(), [&](std::int64_t i) {
      if (!fits) return;
      Image image;
      files->read(i, image);
      if (image.height != out.height || image.width != out.width)
        fits = false;
      else
        std::memcpy(out.pixels.data() + static_cast<std::size_t>(i) * image_bytes,
                    image.pixels.data(), image_bytes);
    });
  } catch (const Error&) {
    return files;  // whoever reads the bad image is told, and may go on without it
  }
  if (!fits) return files;
  for (std::int64_t i = 0; i < files->size(); ++i) out.labels.push_back(files->label(i));
  out.class_names = files->class_names();
  out.description = files->description();
  out.fingerprint = files->fingerprint();
  out.left_out = files->left_out();
  out.named = std::move(files);
  return std::make_shared<MemoryDataset>(std::move(out));
}

std::string described(const std::string& what, std::int64_t images,
                      const std::filesystem::path& where) {
  return what + ", " + std::to_string(images) + " images, " + where.string();
}

}  // namespace exciton::data
