/// Downloads data sets from their own sites: resumable, checked, unpacked.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "exciton/core/error.hpp"

namespace exciton::data {

/// A download that did not come, or came damaged; another place may have it (FetchOptions::url).
class FetchFailed : public Error {
 public:
  using Error::Error;
};

/// One file of a data set on the net, with what it must be once it is here.
struct RemoteFile {
  std::string url;
  std::int64_t bytes = 0;
  std::string md5;      ///< of the file, 32 hexadecimal digits
  bool unpack = false;  ///< an archive, unpacked beside itself
  /// The last part of the url.
  std::string name() const { return url.substr(url.rfind('/') + 1); }
};

struct RemoteDataset {
  std::string name;
  std::vector<RemoteFile> files;
};
using Catalogue = std::vector<RemoteDataset>;

/// cifar10, cifar100 (www.cs.toronto.edu/~kriz) and fashion-mnist (the authors' bucket).
const Catalogue& official_catalogue();

struct FetchProgress {
  std::string file;
  std::int64_t bytes = 0, total = 0;  ///< of this file; counts what an earlier run has left
};

struct FetchOptions {
  /// A mirror: the folder that holds files of the same names, or the file itself where the data set
  /// has only one. http, https or file. Empty: the data set's own site. Sizes and checksums stay.
  std::string url;
  std::function<void(const FetchProgress&)> progress;  ///< called from time to time, and at the end
  int attempts = 3;  ///< times a broken transfer is taken up again before fetch_dataset gives up
  int stall_seconds = 60;  ///< a connection that brings nothing for so long is broken
  Catalogue catalogue = official_catalogue();
};

struct FetchResult {
  std::vector<std::filesystem::path> files;  ///< downloaded, or found complete
  std::int64_t bytes_downloaded = 0;         ///< by this call
  std::int64_t files_unpacked = 0;
};

/// Brings data set `name` into `dir` (made when missing), where open_dataset finds it. A file that
/// is there with the right checksum is not downloaded again. An unfinished download stays as
/// FILE.part, and the next call takes it up where it ended. Errors: unknown name, an answer of the
/// server, a transfer that breaks every time, wrong size or checksum, a full disk, an archive that
/// wants to write outside of `dir`.
FetchResult fetch_dataset(const std::string& name, const std::filesystem::path& dir,
                          const FetchOptions& options = {});

}  // namespace exciton::data
