#include "rng/stream.h"

#include <algorithm>
#include <array>
#include <string>

#include "error.h"
#include "rng/philox.h"

namespace graphc::rng {

void check_range(std::int64_t first, std::int64_t count) {
    if (first < 0 || count < 0 || count > kMaxElements || first > kMaxElements - count) {
        throw Error("GC-L001",
                    "random elements " + std::to_string(first) + " to " + std::to_string(first) +
                        " + " + std::to_string(count) + " lie outside 0 to 2^34",
                    "use a smaller batch");
    }
}

void fill_uniform(const Stream& stream, std::int64_t first, std::int64_t count, float* out) {
    check_range(first, count);
    const Key key = {static_cast<std::uint32_t>(stream.seed),
                     static_cast<std::uint32_t>(stream.seed >> 32)};
    const std::int64_t end = first + count;
    for (std::int64_t block = first / 4; block * 4 < end; ++block) {
        const Counter words =
            philox({static_cast<std::uint32_t>(block), stream.step, stream.layer, stream.tag}, key);
        const std::int64_t start = std::max(first, block * 4);
        const std::int64_t stop = std::min(end, block * 4 + 4);
        for (std::int64_t i = start; i < stop; ++i) {
            out[i - first] = unit(words[static_cast<std::size_t>(i - block * 4)]);
        }
    }
}

namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) {
            rest = (rest & 1u) != 0 ? (rest >> 1) ^ 0xEDB88320u : rest >> 1;
        }
        table[byte] = rest;
    }
    return table;
}

constexpr auto kCrcTable = make_crc_table();

}  // namespace

std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t crc = ~0u;
    for (const char byte : bytes) {
        crc = kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFFu] ^ (crc >> 8);
    }
    return ~crc;
}

}  // namespace graphc::rng
