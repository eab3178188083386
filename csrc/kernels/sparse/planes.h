// Planes: where a convolution's operands lie such that each weight meets its part of x at a fixed
// offset from where the sum begins (Park et al., Faster CNNs with direct sparse convolutions and
// guided pruning, 2017).
//
// Every channel is copied with its padding, as one plane for each remainder that rows and columns
// leave when divided by the strides. Planes hold some images below each other, so that vectors of
// small ones are full. Counted in elements of a plane, window f meets each tap at element f plus an
// offset that depends on channel and tap only; windows that lie between two rows are never looked
// at. With stride 1 the padding right of a row is that left of the next one.
//
// Vectors that lie across two lines of a cache take twice as long to load. So there may be a plane
// for each column of taps instead, whose rows begin at a line; but more planes of fewer channels
// fit a cache. Where a 1x1 kernel meets every pixel, an image is one row, and x is such planes
// already, if its vectors may begin anywhere.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/sparse/types.h"

namespace graphc::sparse {

// Along rows and columns.
using Pair = std::array<std::int64_t, 2>;

struct Field {
    std::int64_t images = 1, channels = 1;
    Pair size{1, 1}, kernel{1, 1}, stride{1, 1}, pad{0, 0}, dilation{1, 1};

    std::int64_t windows(int axis) const {
        const std::size_t a = std::size_t(axis);
        return (size[a] + 2 * pad[a] - dilation[a] * (kernel[a] - 1) - 1) / stride[a] + 1;
    }
};

// Where the images of an operand lie.
struct Images {
    std::vector<std::int64_t> starts;
    std::int64_t channel = 0, row = 0;
};

class Planes {
  public:
    // `is_apart`: are there planes of their own for all columns of taps?
    Planes(const Field& field, const Loops& loops, bool is_apart);

    // Of windows in rows as they are laid out: one for an image of which a 1x1 kernel meets all.
    std::int64_t high() const { return high_; }
    std::int64_t wide() const { return wide_; }
    std::int64_t channels() const { return field_.channels; }
    bool is_copied() const { return is_copied_; }
    // Does every vector begin where a line or, of short vectors, a part of one does?
    bool is_aligned() const { return is_aligned_; }
    int width() const { return loops_.width; }
    std::int64_t vectors() const { return (count_ + width() - 1) / width(); }
    std::int64_t joined() const { return joined_; }  // images of a plane
    std::int64_t groups() const { return joined_ ? (field_.images + joined_ - 1) / joined_ : 0; }
    // Floats of all planes of one group of images.
    std::int64_t size() const { return field_.channels * channel_ + slack_; }
    // How many windows from the first to the last, those between rows among them.
    std::int64_t count() const { return count_; }
    std::int64_t pitch() const { return pitch_; }
    // The first window of a row of an image.
    std::int64_t at(std::int64_t image, std::int64_t row) const {
        return (image * rows_ + row) * pitch_;
    }
    std::int64_t offset(std::int64_t channel, std::int64_t row_tap, std::int64_t tap) const;
    // Floats of a channel that `vectors` vectors of windows meet.
    std::int64_t met(std::int64_t vectors) const;
    // Copies a channel of the images from `first` on.
    void copy(const float* x, const Images& from, std::int64_t channel, std::int64_t first,
              float* planes) const;
    // Zeros what lies behind the last channel.
    void end(float* planes) const;

  private:
    struct Axis {
        std::vector<std::int64_t> remainders;
        std::int64_t stride = 1, dilation = 1, reach = 0;
        bool is_apart = false;  // does each tap have a plane of its own?

        std::int64_t shift(std::int64_t tap) const {
            return is_apart ? 0 : tap * dilation / stride;
        }
        std::int64_t phase(std::int64_t tap) const;
    };

    static Axis axis_of(const Field& field, std::size_t a, bool is_apart);
    void make_pieces();
    void copy_image(const float* x, std::int64_t row, float* to) const;

    Field field_;
    const Loops& loops_;
    Axis axes_[2];
    std::vector<Piece> pieces_;  // [plane of columns][vector of a row]
    bool is_copied_ = true, is_aligned_ = false;
    Pair image_{1, 1};  // high and wide, of an image that is one row
    std::int64_t joined_ = 1, high_ = 1, wide_ = 1;
    std::int64_t pitch_ = 0, rows_ = 0, plane_ = 0, channel_ = 0, slack_ = 0, count_ = 0;
};

}  // namespace graphc::sparse
