#include <openssl/evp.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/transfer.hpp"

namespace exciton::data {

std::string md5_of(const std::filesystem::path& file) {
  const OpenFile in(file);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(),
                                                                       &EVP_MD_CTX_free);
  check(digest && EVP_DigestInit_ex(digest.get(), EVP_md5(), nullptr) == 1,
        "data: this OpenSSL has no MD5");
  std::vector<std::uint8_t> buffer(1 << 20);
  for (std::uint64_t at = 0; at < in.bytes();) {
    const std::uint64_t n = std::min<std::uint64_t>(in.bytes() - at, buffer.size());
    in.read(at, n, buffer.data());
    EVP_DigestUpdate(digest.get(), buffer.data(), static_cast<std::size_t>(n));
    at += n;
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned count = 0;
  EVP_DigestFinal_ex(digest.get(), bytes, &count);
  std::string text;
  for (unsigned i = 0; i < count; ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

}  // namespace exciton::data
