// Softmax along an axis, the losses and scores that count labels, and their gradients.
// x is seen as (outer, classes, inner); a row is the classes of one (outer, inner), and a warp's.
// Labels are floats, truncated; one that is no class is a fault: its row is noted, and the host,
// which reads the note, fails the run (GC-D003).
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

constexpr float kSmallest = 1.17549435e-38F;  // FLT_MIN

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

// The label of a row, -1 if it does not count; a fault's lowest row is kept in *fault.
__device__ inline Index label_of(const Rows& rows, const LabelRule& rule, const float* labels,
                                 Index row, int* fault) {
    const float label = truncf(labels[row]);
    if (rule.has_ignored && label == float(rule.ignored)) return -1;
    if (label >= 0 && label < float(rows.classes)) return Index(label);
    if (lane_of_warp() == 0) atomicMin(fault, int(row));
    return -1;
}

// y may be x.
template <class Item>
__global__ void softmax(Rows rows, const Item* x, Item* y) {
    const Index count = rows.outer * rows.inner;
    for (Index row = row_of_warp(); row < count; row += warps_of_grid()) {
        const Item* const from = x + start_of(rows, row);
        Item* const to = y + start_of(rows, row);
        const float most = row_max(rows, from), sum = row_sum_of_exps(rows, from, most);
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            to[c * rows.inner] = Item(expf(float(from[c * rows.inner]) - most) / sum);
        }
    }
}

// dx = (dy - sum over the row of dy y) y; dx may be dy.
template <class Item>
__global__ void softmax_gradient(Rows rows, const Item* dy, const Item* y, Item* dx) {
    const Index count = rows.outer * rows.inner;
    for (Index row = row_of_warp(); row < count; row += warps_of_grid()) {
        const Index start = start_of(rows, row);
        float sum = 0;
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const Index at = start + c * rows.inner;
            sum += float(dy[at]) * float(y[at]);
        }
        sum = warp_sum(sum);
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const Index at = start + c * rows.inner;
            dx[at] = Item((float(dy[at]) - sum) * float(y[at]));
        }
    }
}

// losses[row]: that of the row, 0 of one that does not count; counts[row]: 1 or 0. `prob` may be
// null.
template <class Item>
__global__ void softmax_with_loss(Rows rows, LabelRule rule, const Item* x, const float* labels,
                                  Item* prob, float* losses, float* counts, int* fault) {
    const Index count = rows.outer * rows.inner;
    for (Index row = row_of_warp(); row < count; row += warps_of_grid()) {
        const Index start = start_of(rows, row);
        const Item* const from = x + start;
        const float most = row_max(rows, from), sum = row_sum_of_exps(rows, from, most);
        for (Index c = lane_of_warp(); prob && c < rows.classes; c += kWarp) {
            prob[start + c * rows.inner] = Item(expf(float(from[c * rows.inner]) - most) / sum);
        }
        const Index label = label_of(rows, rule, labels, row, fault);
        if (lane_of_warp() != 0) continue;
        float loss = 0;
        if (label >= 0) {
            loss = logf(sum) - (float(from[label * rows.inner]) - most);
            loss = loss > -logf(kSmallest) ? -logf(kSmallest) : loss;
        }
        losses[row] = loss;
        counts[row] = label >= 0;
    }
}

// total[0] = the sum of losses / divisor; one block, so always in the same order.
__global__ void loss_total(Index count, Index divisor, const float* losses, const float* counts,
                           float* total) {
    GRAPHC_SHARED(float, warps);
    float sum = 0, valid = 0;
    for (Index i = threadIdx.x; i < count; i += blockDim.x) {
        sum += losses[i];
        valid += counts[i];
    }
    sum = block_sum(sum, warps);
    valid = block_sum(valid, warps);
    const float by = divisor > 0 ? float(divisor) : valid;
    if (threadIdx.x == 0) total[0] = sum / (by > 1 ? by : 1.0F);
}

// valid[0]: how many labels count; one block.
__global__ void count_labels(Rows rows, LabelRule rule, const float* labels, float* valid) {
    GRAPHC_SHARED(float, warps);
    float found = 0;
    for (Index i = threadIdx.x; i < rows.outer * rows.inner; i += blockDim.x) {
        found += !(rule.has_ignored && truncf(labels[i]) == float(rule.ignored));
    }
    found = block_sum(found, warps);
    if (threadIdx.x == 0) valid[0] = found;
}

// dx = (prob - 1 at the label) * dloss / divisor, 0 in rows that do not count; dx may be prob.
// `valid`: of count_labels, read where the rule has no divisor.
template <class Item>
__global__ void softmax_with_loss_gradient(Rows rows, LabelRule rule, const float* dloss,
                                           const Item* prob, const float* labels,
                                           const float* valid, Item* dx, int* fault) {
    const Index count = rows.outer * rows.inner;
    const float by = rule.divisor > 0 ? float(rule.divisor) : valid[0];
    const float factor = dloss[0] / (by > 1 ? by : 1.0F);
    for (Index row = row_of_warp(); row < count; row += warps_of_grid()) {
        const Index start = start_of(rows, row);
        const Index label = label_of(rows, rule, labels, row, fault);
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const Index at = start + c * rows.inner;
            const float slope = label < 0 ? 0.0F : float(prob[at]) - float(c == label);
            dx[at] = Item(slope * factor);
        }
    }
}

// seen[class], right[class]: rows with that label, and those among them under whose label's score
// fewer than top_k others lie not. Whole numbers, so that the order of additions is all one.
template <class Item>
__global__ void accuracy(Rows rows, LabelRule rule, const Item* x, const float* labels, int* seen,
                         int* right, int* fault) {
    const Index count = rows.outer * rows.inner;
    for (Index row = row_of_warp(); row < count; row += warps_of_grid()) {
        const Item* const scores = x + start_of(rows, row);
        const Index label = label_of(rows, rule, labels, row, fault);
        if (label < 0) continue;  // all lanes of the warp alike
        const float own = float(scores[label * rows.inner]);
        int better = 0;
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            better += c != label && float(scores[c * rows.inner]) >= own;
        }
        better = warp_sum(better);
        if (lane_of_warp() == 0) {
            atomicAdd(seen + label, 1);
            if (better < rule.top_k) atomicAdd(right + label, 1);
        }
    }
}

// The shares of right ones, of all and, unless null, of each class; one block.
__global__ void accuracy_total(Index classes, const int* seen, const int* right, float* share,
                               float* per_class) {
    GRAPHC_SHARED(float, warps);
    float all = 0, hits = 0;
    for (Index c = threadIdx.x; c < classes; c += blockDim.x) {
        all += float(seen[c]);
        hits += float(right[c]);
        if (per_class) per_class[c] = float(right[c]) / float(seen[c] > 1 ? seen[c] : 1);
    }
    all = block_sum(all, warps);
    hits = block_sum(hits, warps);
    if (threadIdx.x == 0) share[0] = hits / (all > 1 ? all : 1.0F);
}

__global__ void clear(Index count, int* numbers) {
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) numbers[i] = 0;
}

}  // namespace graphc
