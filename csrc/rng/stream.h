// The random stream of one layer in one pass: element i of a tensor is lane i % 4 of the block
// whose counter is (i / 4, step, crc32(layer), tag) and whose key is the seed, low word first.
#pragma once

#include <cstdint>

namespace graphc::rng {

struct Stream {
    std::uint64_t seed;
    std::uint32_t step;
    std::uint32_t layer;
    std::uint32_t tag;
};

// One counter word numbers the blocks, so a tensor may have 4 * 2^32 elements.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 34;

// out[i] = uniform in [0, 1) of element first + i, for i in [0, count).
// Throws GC-L001 unless 0 <= first, 0 <= count and first + count <= kMaxElements.
void check_range(std::int64_t first, std::int64_t count);
void fill_uniform(const Stream& stream, std::int64_t first, std::int64_t count, float* out);

}  // namespace graphc::rng
