// How the rows of a matrix are dealt out evenly to slivers, as high as a tile or less, and how many
// products a tile sums in registers; packed weights depend on both.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/gemm_types.h"

namespace graphc {

class Slivers {
  public:
    Slivers(std::int64_t rows, const GemmLoops& loops)
        : rows_(rows), count_((rows + loops.tile_rows - 1) / loops.tile_rows) {}

    std::int64_t count() const { return count_; }
    // The first row of sliver i; that of sliver count() is the number of rows.
    std::int64_t start(std::int64_t i) const { return rows_ * i / count_; }

  private:
    std::int64_t rows_, count_;
};

// Is a tile of so few columns faster with rows in its lanes? It must be turned at its end.
inline bool is_narrow(const GemmLoops& loops, std::int64_t rows, std::int64_t columns,
                      std::int64_t depth) {
    constexpr std::int64_t turning = 512;
    return columns <= std::min<std::int64_t>(loops.narrow_columns, rows - kNarrower) &&
           (rows - columns) * depth >= turning;
}

// Into how many blocks of products a sum is cut: by their number alone, so that nothing else
// changes a bit of it.
inline std::int64_t depth_blocks(std::int64_t depth) {
    constexpr std::int64_t most = 320;
    return std::max<std::int64_t>(1, (depth + most - 1) / most);
}

// Products k0 .. k1-1 of every sum.
struct DepthBlock {
    std::int64_t k0, k1;
    bool is_first, is_last;
    std::int64_t height() const { return k1 - k0; }
};

inline DepthBlock depth_block(std::int64_t depth, std::int64_t i) {
    const std::int64_t count = depth_blocks(depth);
    return {depth * i / count, depth * (i + 1) / count, i == 0, i + 1 == count};
}

}  // namespace graphc
