// How Winograd's convolution cuts its work: images into tiles, the tiles of all images into chunks,
// the outputs into groups of panels.
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

// A run of tiles in one row of them: the first one's image, row and column in y, and how many of a
// chunk come before it.
struct Place {
    std::int64_t image, top, left, count, before;
};

// Tiles of all images, row by row.
struct TileGrid {
    std::int64_t images, high, wide;

    TileGrid(std::int64_t images, std::int64_t height, std::int64_t width)
        : images(images), high((height + kTile - 1) / kTile), wide((width + kTile - 1) / kTile) {}

    std::int64_t tiles() const { return images * high * wide; }
    template <class Body>
    void each_place(const Range& chunk, const Body& body) const {
        Place place{};
        for (std::int64_t t = chunk.first; t < chunk.stop; t += place.count) {
            const std::int64_t column = t % wide, row = t / wide % high;
            place = {t / wide / high, row * kTile, column * kTile,
                     std::min(wide - column, chunk.stop - t), t - chunk.first};
            body(place);
        }
    }
};

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
