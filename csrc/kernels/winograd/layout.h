// Where the transformed weight of Winograd's convolution lies, and which loops meet it.
#pragma once

#include <algorithm>

#include "kernels/spatial_options.h"
#include "kernels/winograd/types.h"

namespace graphc::winograd {

// Outputs come in vectors, and those in panels of kTileVectors or, at the end, less. A panel has
// the points one after the other, each with a row of outputs for every channel of x; or, where
// a run takes them to points itself, kernels as Loops::turn lays them.
class WeightLayout {
  public:
    // Blocks of `lanes` channels are filled up with outputs that are zeros.
    WeightLayout(const Loops& loops, std::int64_t channels, std::int64_t outputs,
                 std::int64_t lanes)
        : taps_(loops.taps()),
          points_(loops.points()),
          channels_(channels),
          width_(loops.width),
          vectors_((outputs + lanes - 1) / lanes * (lanes / loops.width)) {}

    std::int64_t vectors() const { return vectors_; }
    std::int64_t panels() const { return (vectors_ + kTileVectors - 1) / kTileVectors; }
    // The first vector of a panel; that of panel panels() is the number of vectors.
    std::int64_t start(std::int64_t panel) const {
        return std::min(panel * kTileVectors, vectors_);
    }
    int vectors_of(std::int64_t panel) const { return int(start(panel + 1) - start(panel)); }
    // Where the kernels of a panel start.
    std::int64_t kernels(std::int64_t panel) const {
        return start(panel) * taps_ * width_ * channels_;
    }
    // Where the rows of a panel at a point start.
    std::int64_t offset(std::int64_t panel, std::int64_t point) const {
        return (start(panel) * points_ + point * vectors_of(panel)) * width_ * channels_;
    }

  private:
    std::int64_t taps_, points_, channels_, width_, vectors_;
};

// Does a run take the weight to points itself? So it is where there are few tiles and a panel at
// points fits a cache: to fetch four times as many bytes would take longer.
bool is_fresh(std::int64_t tiles, std::int64_t channels);
// Tiles of all images, as attributes tell them. Throws Error (GC-A001).
std::int64_t count_tiles(const Attrs& attrs);

// Floats of a packed weight for kernels of that size, whatever loops meet it. Throws Error
// (GC-A001) where that is no sensible number.
std::int64_t packed_size(int kernel, std::int64_t channels, std::int64_t outputs, bool fresh);

// The loops for chosen_isa() and these attributes whose vectors are not wider than a block.
const Loops& chosen_loops(const Attrs& attrs);

// Options of a convolution that can be done so, and attribute block. Throw Error (GC-A001).
SpatialOptions checked_options(const Attrs& attrs);
std::int64_t block_lanes(const Attrs& attrs);

}  // namespace graphc::winograd
