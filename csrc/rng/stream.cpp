#include "rng/stream.h"

#include <algorithm>
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

}  // namespace graphc::rng
