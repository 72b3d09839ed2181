/// Tar files read in place: where each member lies, and its bytes.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "exciton/data/files.hpp"

namespace exciton::data {

/// A regular file in a tar file.
struct TarMember {
  std::string name;
  std::uint64_t offset = 0;  ///< of its bytes
  std::uint64_t bytes = 0;
};

/// Calls `each` for every regular file of a tar (ustar, with the long names of GNU and of pax), in
/// order; a hard link is the file it is a name of. Only headers are read. Of tar files that were
/// joined to one (cat a.tar b.tar) all members. Errors name the file and the offset: no tar, a
/// damaged header, something else behind the end, a member that ends behind the file, a link to
/// nothing, a sparse file (its bytes lie in pieces). What else is in it (symbolic links, devices;
/// not folders) goes to `other`, with a reason.
void for_each_member(
    const OpenFile& file, const std::function<void(TarMember)>& each,
    const std::function<void(const std::string& name, const std::string& reason)>& other = {});

}  // namespace exciton::data
