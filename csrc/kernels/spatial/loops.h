// The hot loops of pooling and LRN, compiled once for each Isa (files of this folder); all of them
// give the same bits.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/isa.h"
#include "lrn.h"
#include "pool.h"

namespace graphc {

// Windows p0 .. p1 - 1 by q0 .. q1 - 1 of one plane, whose rows of x lie `pitch` elements apart.
struct PoolBlock {
    PoolAxis rows, cols;
    Index pitch;
    Index p0, p1, q0, q1;
};

// A row of windows of a blocked operand: `rows` is what they meet of x, `extent` their extent in
// the padded image, `cols.size` also x's width. `is_wide`: windows with so many elements that their
// sum needs more digits than a float has.
struct BlockedRow {
    PoolAxis cols;
    PoolSpan rows;
    Index extent;
    Index windows;
    Index lanes;
    bool is_wide;
};

// How wide a window may be for max_block() and sum_block().
constexpr Index kPoolWidest = 32;

// How many pixels lrn_across() takes at once; and how many lrn_within(), the window's reach to both
// sides counted in.
constexpr Index kLrnBlock = 512, kLrnRow = 4096;

struct SpatialLoops {
    // Maxima of a block into rows of y, `pitch` apart (y: that of window p0, q0), and their indices
    // in their windows one after the other, unless `where` is null.
    void (*max_block)(const PoolBlock&, const float* plane, float* y, Index pitch, float* where);
    // Sums of a block, each divided by its window's extent; `widths` has that of each column of
    // windows, from q0 on.
    void (*mean_block)(const PoolBlock&, const float* plane, float* y, Index pitch,
                       const float* widths);
    // One window, for wide ones: maximum (index not found: 0), and sum.
    float (*wide_max)(const float* plane, Index pitch, PoolSpan rows, PoolSpan cols);
    double (*wide_sum)(const float* plane, Index pitch, PoolSpan rows, PoolSpan cols);
    // All channels of `count` neighbouring pixels; channels lie x_step and y_step apart.
    void (*lrn_across)(const Lrn&, const float* x, Index x_step, float* y, Index y_step,
                       Index channels, Index count);
    // Columns first .. stop - 1 of row h of a plane.
    void (*lrn_within)(const Lrn&, const float* plane, Index height, Index width, Index pitch,
                       Index h, Index first, Index stop, float* y);
    // A plane of `width` pixels by `lanes` channels; `scratch`: room for two rows of it.
    void (*lrn_within_plane)(const Lrn&, const float* x, Index x_pitch, float* y, Index y_pitch,
                             Index height, Index width, Index lanes, float* scratch);
    // The gradients, of neighbouring pixels (kLrnBlock at most) and of a plane. dx may be dy in the
    // first. `scratch`: room for 2 * channels * count floats; for 2 * (height + 1) rows.
    void (*lrn_across_gradient)(const Lrn&, const float* x, Index x_step, const float* dy,
                                Index dy_step, float* dx, Index dx_step, Index channels,
                                Index count, float* scratch);
    void (*lrn_within_gradient)(const Lrn&, const float* x, Index x_pitch, const float* dy,
                                Index dy_pitch, float* dx, Index dx_pitch, Index height,
                                Index width, Index lanes, float* scratch);
    // Blocked operands (kernels/blocked.h), whose `lanes` must be whole vectors. `count` pixels of
    // one block, of which `channels` are no padding; those of the plain operand lie channel_step
    // apart.
    void (*block)(const float* x, Index channel_step, Index channels, Index lanes, Index count,
                  float* y);
    void (*unblock)(const float* x, Index lanes, Index channels, Index count, float* y,
                    Index channel_step);
    // Maxima and means of a row of windows; `x` is the block's start. Of maxima also their indices
    // in their windows, unless `where` is null.
    void (*max_blocked)(const BlockedRow&, const float* x, float* y, float* where);
    void (*mean_blocked)(const BlockedRow&, const float* x, float* y);
    // Adds to those rows of the block that starts at dx, of what a row of windows meets, its dy, to
    // the element that the index names, or in equal shares to all.
    void (*max_gradient_u8)(const BlockedRow&, const float* dy, const std::uint8_t* index,
                            float* dx);
    void (*max_gradient_i32)(const BlockedRow&, const float* dy, const std::int32_t* index,
                             float* dx);
    void (*mean_gradient)(const BlockedRow&, const float* dy, float* dx);
    // Neighbouring pixels of one block, kLrnBlock floats at most. `x` is the first pixel in block
    // 0 of `blocks`, which lie `plane` apart.
    void (*lrn_blocked)(const Lrn&, const float* x, Index plane, Index block, Index blocks,
                        Index lanes, Index pixels, float* y);
};

const SpatialLoops& spatial_loops(Isa isa);

namespace portable {
extern const SpatialLoops spatial_loops;
}
#if GRAPHC_X86
namespace avx2 {
extern const SpatialLoops spatial_loops;
}
namespace avx512 {
extern const SpatialLoops spatial_loops;
}
#endif

}  // namespace graphc
