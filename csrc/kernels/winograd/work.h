// How Winograd's convolution cuts its work: the tiles of all images into chunks, the outputs into
// groups of panels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/winograd/layout.h"

namespace graphc::winograd {

// Numbers first .. stop-1.
struct Range {
    std::int64_t first, stop;
    std::int64_t count() const { return stop - first; }
};

// Part i of 0 .. count-1, dealt out evenly.
inline Range part(std::int64_t count, std::int64_t parts, std::int64_t i) {
    return {count * i / parts, count * (i + 1) / parts};
}

// Of a chunk all tiles are taken to points, then, group by group, multiplied and taken back, while
// both lie in a cache of a thread's own. Threads take chunks each for itself; or, where there are
// too few tiles for that, they share each chunk, first its blocks of channels, then its groups.
struct Work {
    std::int64_t tiles, chunks, groups;
    bool is_shared;

    Work(std::int64_t tiles, const WeightLayout& weight, bool is_fresh, int threads);

    // Of a chunk at most.
    std::int64_t most_tiles() const { return (tiles + chunks - 1) / chunks; }
};

}  // namespace graphc::winograd
