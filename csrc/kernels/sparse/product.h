// What sparse convolutions share: operands, how windows are cut into tiles, and where sums go.
#pragma once

#include <vector>

#include "core/kernel.h"
#include "kernels/sparse/planes.h"
#include "kernels/spatial_options.h"

namespace graphc::sparse {

// Reads x, packed weight, bias if attribute bias, residual if attribute residual; writes y.
// Attributes: those of SpatialOptions (two spatial axes) and ActivationOptions, batch, channels,
// outputs, and stored, how many weights the packed one has room for (0: for all).
// Throws Error (GC-A001) for what contradicts.
struct Told {
    SpatialOptions options;
    ActivationOptions act;
    Field field;
    std::int64_t outputs, stored;
    bool has_bias, has_residual;

    explicit Told(const Attrs& attrs);

    std::int64_t groups() const { return options.groups; }
    std::int64_t depth() const { return field.channels / groups() * options.taps(); }  // of a sum
    std::int64_t weights() const { return outputs * depth(); }
    // Weights for which there is room.
    std::int64_t room() const { return stored ? std::min(stored, weights()) : weights(); }
};

// Operands of one kernel, checked.
struct Operands {
    std::int64_t wide;
    bool has_residual;
    Images x, y, r;

    Operands(const Problem& problem, const Told& told);
    // Do rows of the results follow each other without gaps?
    bool has_dense_rows() const;
};

// Part of a row of windows that lies in a tile: `from` the tile's start, of an image of its group.
struct Part {
    std::int64_t from, count, image, row, column;
};

// Vectors of windows in tiles of about equal length.
class Tiles {
  public:
    Tiles(const Planes& planes, int width, std::int64_t most_vectors, const Operands& operands);

    std::int64_t count() const { return count_; }
    std::int64_t start(std::int64_t tile) const { return vectors_ * tile / count_ * width_; }
    std::int64_t vectors(std::int64_t tile) const {
        return vectors_ * (tile + 1) / count_ - vectors_ * tile / count_;
    }
    std::int64_t most() const { return (vectors_ + count_ - 1) / count_; }
    // Windows in the last vector.
    int last(std::int64_t tile) const { return tile + 1 < count_ ? width_ : last_; }
    const std::vector<Part>& parts(std::int64_t tile) const { return parts_[std::size_t(tile)]; }

  private:
    void add(std::vector<Part>& parts, Part part, const Operands& operands) const;

    std::int64_t width_, vectors_, count_;
    int last_;
    std::vector<std::vector<Part>> parts_;
};

// Takes the sums of one output's windows in a tile to where they belong, of images `first` on.
struct Placer {
    const Run& run;
    const Told& told;
    const Operands& operands;
    const Loops& loops;

    void place(const std::vector<Part>& parts, std::int64_t first, std::int64_t output,
               const float* sums) const;
};

// x, or where it is not planes yet, a copy; groups of images are done one after the other.
class Source {
  public:
    Source(const Planes& planes, const Operands& operands, const Field& field, int threads);
    std::size_t workspace() const;
    // The planes of a group of images.
    const float* prepare(const Run& run, std::int64_t group) const;

  private:
    const Planes& planes_;
    const Images& x_;
    int threads_;
    bool is_copied_;
};

// Fault GC-W004: more weights are not zero than there is room for.
void report_room(Fault* fault, std::int64_t count, std::int64_t room);

}  // namespace graphc::sparse
