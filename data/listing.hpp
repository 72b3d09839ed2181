/// The image files of a folder, and what else lies there.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/data/left_out.hpp"

namespace exciton::data {

/// True for a name that ends as images do that are read (data/image.hpp), in any case, and does not
/// begin with a dot. What the file holds is told by its contents when it is read.
bool is_image_name(std::string_view name);

/// What follows the last slash.
std::string_view last_part(std::string_view name);

/// Why a file of this name is no image of a data set: hidden, a format that is not read, another
/// ending. Empty for the name of an image.
std::string reason_to_leave_out(std::string_view name);

/// Paths, relative to `dir`, of every image file in it and in the folders below, in byte order.
/// Folders whose names begin with a dot are skipped; symbolic links are followed, but for those
/// that lead to a folder around them: one in which `dir` lies, too. `top` is the folder of the data
/// set to which `dir` belongs. Such links, and files that are no images, go to `left_out`, under
/// `prefix` and their path, but for `used`, a file that has served already. Errors: a folder that
/// cannot be listed.
std::vector<std::string> image_files(const std::filesystem::path& dir, const std::string& prefix,
                                     LeftOut& left_out, const std::filesystem::path& used = {},
                                     const std::filesystem::path& top = {});

/// True when image_files would find one. Errors: as image_files, as far as it has to look.
bool has_image(const std::filesystem::path& dir, const std::filesystem::path& top = {});

/// Names of what lies directly in `dir` and is no folder, in byte order. Errors: as image_files.
std::vector<std::string> files_in(const std::filesystem::path& dir);

/// Adds the files that lie directly in `dir` to `left_out`: images as "beside the
/// class folders", others as what they are. Errors: as image_files.
void leave_out_files(const std::filesystem::path& dir, const std::string& prefix,
                     LeftOut& left_out);

/// The name itself where it is UTF-8; else as if its bytes were Latin-1, which they then mostly
/// are. Names of classes are kept so: logs, checkpoints and pages are UTF-8.
std::string as_utf8(const std::string& name);

/// Names of the folders in `dir`, in byte order, without hidden ones. Errors: as image_files.
std::vector<std::string> folders_in(const std::filesystem::path& dir);

}  // namespace exciton::data
