/// A checkpoint, as it comes, and once more with its length and checksum put right, which no fuzzer
/// guesses.
#include "exciton/train/checkpoint.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <vector>

#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exciton;
  static const fuzz::Folder folder;
  const auto read = [&](fuzz::Bytes bytes) {
    const auto path = folder.write("fuzz.ckpt", bytes);
    fuzz::expect_at_most_an_error([&] { train::read_checkpoint(path); });
  };
  read({data, size});
  constexpr std::size_t length_at = 24;
  if (size < length_at + 8) return 0;
  std::vector<std::uint8_t> sealed(data, data + size);
  const std::uint64_t length = size + sizeof(XXH128_canonical_t);
  std::memcpy(sealed.data() + length_at, &length, sizeof length);
  XXH128_canonical_t checksum;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(sealed.data(), sealed.size()));
  sealed.insert(sealed.end(), checksum.digest, checksum.digest + sizeof checksum.digest);
  read(sealed);
  return 0;
}
