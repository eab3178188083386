#include "kernels/winograd/work.h"

namespace graphc::winograd {

namespace {

// A weight of more floats leaves the caches between one use and the next.
constexpr std::int64_t kCachedFloats = std::int64_t(1) << 20;
// Tiles of a chunk at most. Each chunk fetches the weight anew, so that there should be fewer of
// them where that takes long; 512 channels of 56 tiles are 4 MB at points.
constexpr std::int64_t kTiles = 28, kTilesOfLarge = 56, kSharedTiles = 112;
// Panels of a group, which read what is at points before the next group reads it again.
constexpr std::int64_t kPanels = 4;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

Work::Work(std::int64_t tiles, const WeightLayout& weight, bool is_fresh, int threads)
    : tiles(tiles) {
    const std::int64_t panels = weight.panels();
    const bool is_large = !is_fresh && weight.offset(panels, 0) > kCachedFloats;
    const std::int64_t most = is_fresh || is_large ? kTilesOfLarge : kTiles;
    const std::int64_t turns = std::max<std::int64_t>(1, ceil_div(tiles, most * threads));
    const std::int64_t own = std::min(turns * threads, std::max<std::int64_t>(tiles, 1));
    const std::int64_t together = std::max<std::int64_t>(1, ceil_div(tiles, kSharedTiles));
    // Time of a thread in products of a tile with a panel. A weight that comes from afar takes as
    // long as multiplying it with 24 tiles, taking one to points as 8; threads that share wait for
    // each other.
    const std::int64_t least = is_large ? 24 : 4;
    const auto time_of = [&](std::int64_t chunks) {
        return chunks * (std::max(ceil_div(tiles, chunks), least) + (is_fresh ? 8 : 0));
    };
    const double own_time = double(time_of(own) * panels) / threads;
    const double shared_time = 1.25 * double(time_of(together) * ceil_div(panels, threads));
    is_shared = threads > 1 && shared_time < own_time;
    chunks = is_shared ? together : own;
    groups = std::max(ceil_div(panels, kPanels),
                      is_shared ? std::min<std::int64_t>(panels, threads) : 1);
}

}  // namespace graphc::winograd
