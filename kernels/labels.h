// Rows of scores, a warp's each, and the labels that say which of a row's classes is right.
// x is seen as (outer, classes, inner); a row is the classes of one (outer, inner). Labels are
// floats, truncated; one that is no class is a fault: its row is noted, and the host, which reads
// the note, fails the run (GC-D003).
#pragma once

#include "grid.h"
#include "storage.h"

namespace graphc {

struct Rows {
    Index outer, classes, inner;
};

// `ignored` is one of the labels where has_ignored; `divisor` 0 stands for how many labels are not
// ignored.
struct LabelRule {
    Index ignored, divisor;
    int has_ignored, top_k;
};

__device__ inline Index row_of_warp() { return thread_in_grid() / kWarp; }
__device__ inline Index warps_of_grid() { return threads_of_grid() / kWarp; }
__device__ inline int lane_of_warp() { return int(threadIdx.x % kWarp); }

__device__ inline Index start_of(const Rows& rows, Index row) {
    return row / rows.inner * rows.classes * rows.inner + row % rows.inner;
}

// A row's maximum, -inf of none; NaN is greater than nothing.
template <class Item>
__device__ float row_max(const Rows& rows, const Item* x) {
    float most = -float_of(0x7F800000u);
    for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
        const float value = float(x[c * rows.inner]);
        most = most < value ? value : most;
    }
    return warp_max(most);
}

template <class Item>
__device__ float row_sum_of_exps(const Rows& rows, const Item* x, float most) {
    float sum = 0;
    for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
        sum += expf(float(x[c * rows.inner]) - most);
    }
    return warp_sum(sum);
}

__device__ inline bool is_counted(const LabelRule& rule, float label) {
    return !(rule.has_ignored && truncf(label) == float(rule.ignored));
}

// The label of a row, -1 if it does not count; a fault's lowest row is kept in *fault.
__device__ inline Index label_of(const Rows& rows, const LabelRule& rule, const float* labels,
                                 Index row, int* fault) {
    if (!is_counted(rule, labels[row])) return -1;
    const float label = truncf(labels[row]);
    if (label >= 0 && label < float(rows.classes)) return Index(label);
    if (lane_of_warp() == 0) atomicMin(fault, int(row));
    return -1;
}

}  // namespace graphc
