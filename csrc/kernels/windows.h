// Windows: which input elements a convolution's kernel meets at each of its positions, for any
// number of spatial axes, and the pieces from which vectors of neighbouring windows are put
// together.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gemm_types.h"

namespace graphc {

// One spatial axis. Window p meets element p * step + shifts[k] at tap k where that lies in
// 0 .. in-1, else a zero. Its result is element first + p * stride of the output. Pitches are the
// operands' strides, of the input x, the output y and a residual r.
struct WindowAxis {
    std::int64_t in = 1, windows = 1, step = 1;
    std::vector<std::int64_t> shifts = {0};
    std::int64_t first = 0, stride = 1;
    std::int64_t x_pitch = 1, y_pitch = 1, r_pitch = 1;
};

// Part of a row of windows: `count` neighbours along the last axis, `column` the first's place
// among the columns asked for.
struct WindowRun {
    std::int64_t image, row, start, column, count;
};

// The windows low .. high-1 of a row meet elements at + p * step at some tap, the others zeros.
struct RowMeeting {
    std::int64_t at, low, high;
};

class Windows {
  public:
    // Joins axes that a 1-wide kernel only passes along. Throws Error (GC-A001) if the last axis
    // has gaps.
    explicit Windows(std::vector<WindowAxis> axes);

    std::int64_t count() const { return row_ * rows_; }  // windows of an image
    std::int64_t row() const { return row_; }            // windows along the last axis
    std::int64_t taps() const { return taps_; }
    std::int64_t step() const { return axes_.back().step; }
    // Do the results of an image's windows lie one after the other in a channel of y, and what is
    // added to them in one of r?
    bool is_dense() const { return dense_; }
    // Where the results of a run lie in a channel of y or r: the first, and from one to the next.
    std::int64_t target(const WindowRun& run, std::int64_t WindowAxis::* pitch) const;
    std::int64_t target_step(std::int64_t WindowAxis::* pitch) const {
        return axes_.back().stride * (axes_.back().*pitch);
    }

    // Cuts columns first .. first + count - 1 into runs; column c is window c % count() of image
    // c / count(). Returns how many runs; `runs` has room for most_runs(count).
    int cut(std::int64_t first, std::int64_t count, WindowRun* runs) const;
    std::int64_t most_runs(std::int64_t columns) const;

    RowMeeting meet(std::int64_t row, std::int64_t tap) const;

    // Fills pieces[(t - first_tap) * per_tap + q] for the taps first_tap .. stop_tap-1 of one
    // vector, made of `count` runs. `image_offsets`: elements from the source to each image.
    void make_pieces(const WindowRun* runs, int count, const std::int64_t* image_offsets,
                     std::int64_t first_tap, std::int64_t stop_tap, int per_tap,
                     Piece* pieces) const;

  private:
    std::vector<WindowAxis> axes_;
    std::vector<std::int64_t> tap_shifts_;  // [tap][axis]
    std::vector<std::int64_t> low_, high_;  // for each shift of the last axis: windows inside
    std::int64_t taps_ = 1, rows_ = 1, row_ = 1;
    bool dense_ = true;
};

}  // namespace graphc
