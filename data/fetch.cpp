#include "exciton/data/fetch.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "exciton/core/error.hpp"
#include "exciton/data/transfer.hpp"

namespace exciton::data {
namespace fs = std::filesystem;
namespace {

std::string source_of(const RemoteFile& file, const std::string& mirror) {
  if (mirror.empty()) return file.url;
  const std::string name = file.name();
  if (fs::path(mirror).filename() == name) return mirror;
  std::string url = mirror;
  if (!url.ends_with('/')) url += '/';
  return url += name;
}

bool is_whole(const fs::path& path, const RemoteFile& file) {
  std::error_code none;
  return fs::is_regular_file(path, none) &&
         fs::file_size(path, none) == static_cast<std::uintmax_t>(file.bytes) &&
         md5_of(path) == file.md5;
}

/// Downloads to `target` by way of target.part. Returns the bytes that came now.
std::int64_t download(const RemoteFile& file, const fs::path& target, const FetchOptions& options) {
  Transfer what{.url = source_of(file, options.url),
                .part = target.string() + ".part",
                .bytes = file.bytes,
                .stall_seconds = options.stall_seconds,
                .progress = {}};
  if (options.progress)
    what.progress = [&](std::int64_t have) { options.progress({file.name(), have, file.bytes}); };
  const auto size_of_part = [&] {
    std::error_code none;
    const auto size = fs::file_size(what.part, none);
    return none ? std::int64_t{0} : static_cast<std::int64_t>(size);
  };

  std::int64_t received = 0;
  TransferEnd end;
  for (int attempt = 1; attempt <= std::max(1, options.attempts); ++attempt) {
    if (attempt > 1) std::this_thread::sleep_for(std::chrono::milliseconds(200 * (attempt - 1)));
    end = transfer(what);
    received += end.received;
    if (end.complete || !end.broken) break;
  }
  if (!end.complete)
    throw FetchFailed("fetch: " + what.url + ": " + end.reason + "; has " +
                      std::to_string(size_of_part()) + " of " + std::to_string(file.bytes) +
                      " bytes, run again to continue, or name a mirror");

  if (const std::string md5 = md5_of(what.part); md5 != file.md5) {
    fs::remove(what.part);
    throw FetchFailed("fetch: " + what.url + " has MD5 " + md5 + ", expected " + file.md5 +
                      "; the download is deleted, run again or name another mirror");
  }
  std::error_code error;
  fs::rename(what.part, target, error);
  check(!error, "fetch: cannot name ", target.string(), ": ", error.message());
  return received;
}

}  // namespace

const Catalogue& official_catalogue() {
  static const std::string kriz = "https://www.cs.toronto.edu/~kriz/";
  static const std::string fashion = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/";
  static const Catalogue catalogue{
      {"cifar10",
       {{kriz + "cifar-10-binary.tar.gz", 170052171, "c32a1d4ab5d03f1284b67883e8d87530", true}}},
      {"cifar100",
       {{kriz + "cifar-100-binary.tar.gz", 168513733, "03b5dce01913d631647c71ecec9e9cb8", true}}},
      {"fashion-mnist",
       {{fashion + "train-images-idx3-ubyte.gz", 26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"},
        {fashion + "train-labels-idx1-ubyte.gz", 29515, "25c81989df183df01b3e8a0aad5dffbe"},
        {fashion + "t10k-images-idx3-ubyte.gz", 4422102, "bef4ecab320f06d8554ea6380940ec79"},
        {fashion + "t10k-labels-idx1-ubyte.gz", 5148, "bb300cfdad3c16e7a12a480ee83cd310"}}}};
  return catalogue;
}

FetchResult fetch_dataset(const std::string& name, const fs::path& dir,
                          const FetchOptions& options) {
  const auto found = std::find_if(options.catalogue.begin(), options.catalogue.end(),
                                  [&](const RemoteDataset& d) { return d.name == name; });
  if (found == options.catalogue.end()) {
    std::string known;
    for (const auto& d : options.catalogue) known += (known.empty() ? "" : ", ") + d.name;
    fail("fetch: no data set \"", name, "\"; there are ", known);
  }
  std::error_code error;
  fs::create_directories(dir, error);
  check(!error, "fetch: cannot make folder ", dir.string(), ": ", error.message());

  FetchResult result;
  for (const RemoteFile& file : found->files) {
    const fs::path target = dir / file.name();
    if (is_whole(target, file)) {
      if (options.progress) options.progress({file.name(), file.bytes, file.bytes});
    } else {
      result.bytes_downloaded += download(file, target, options);
    }
    result.files.push_back(target);
    if (file.unpack) result.files_unpacked += unpack_archive(target, dir);
  }
  return result;
}

}  // namespace exciton::data
