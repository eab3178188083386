// Softmax along an axis, the loss and the score that count labels, and their gradients. Rows and
// labels are those of labels.h.
#include "grid.h"
#include "labels.h"

namespace graphc {

constexpr float kSmallest = 1.17549435e-38F;  // FLT_MIN

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
