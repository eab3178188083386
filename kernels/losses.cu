// Losses but Softmax's, which is in softmax.cu, and their gradients. A loss is first a number for
// each row, or for each block's share of the elements, then loss_total adds these up in order. Rows
// and labels are those of labels.h.
#include "grid.h"
#include "labels.h"

namespace graphc {

// total[0] = factor * the sum of losses / divisor; a negative divisor stands for the sum of counts,
// at least 1. One block.
__global__ void loss_total(Index count, float factor, float divisor, const float* losses,
                           const float* counts, float* total) {
    GRAPHC_SHARED(float, warps);
    float sum = 0, valid = 0;
    for (Index i = threadIdx.x; i < count; i += blockDim.x) {
        sum += losses[i];
        if (divisor < 0) valid += counts[i];
    }
    sum = block_sum(sum, warps);
    valid = block_sum(valid, warps);
    const float by = divisor >= 0 ? divisor : valid > 1 ? valid : 1.0F;
    if (threadIdx.x == 0) total[0] = factor * sum / by;
}

// valid[0]: how many labels count, at least 1; one block.
__global__ void count_labels(Index count, LabelRule rule, const float* labels, float* valid) {
    GRAPHC_SHARED(float, warps);
    float found = 0;
    for (Index i = threadIdx.x; i < count; i += blockDim.x)
        found += float(is_counted(rule, labels[i]));
    found = block_sum(found, warps);
    if (threadIdx.x == 0) valid[0] = found > 1 ? found : 1.0F;
}

// losses[block] = the sum of (x - target)^2 of the block's share; `diff` may be null.
template <class Item>
__global__ void euclidean_loss(Index count, const Item* x, const Item* target, Item* diff,
                               float* losses) {
    GRAPHC_SHARED(float, warps);
    float sum = 0;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const float away = float(x[i]) - float(target[i]);
        if (diff) diff[i] = Item(away);
        sum += away * away;
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) losses[blockIdx.x] = sum;
}

// losses[block] = -(x (t - [x >= 0]) - log(1 + exp(-|x|))) summed over the block's share of targets
// t that count, counts[block] how many these are; `prob`, sigmoid(x), may be null.
template <class Item>
__global__ void sigmoid_cross_entropy_loss(Index count, LabelRule rule, const Item* x,
                                           const float* targets, Item* prob, float* losses,
                                           float* counted) {
    GRAPHC_SHARED(float, warps);
    float sum = 0, valid = 0;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const float value = float(x[i]);
        // -|x|, but NaN for an infinity, as Caffe's x - 2 x [x >= 0] has it
        const float soft = log1pf(expf(value * 0.0F - fabsf(value)));
        const bool is_there = is_counted(rule, targets[i]);
        if (is_there) sum -= value * (targets[i] - float(value >= 0)) - soft;
        valid += float(is_there);
        if (prob) prob[i] = Item(0.5F * tanhf(0.5F * value) + 0.5F);
    }
    sum = block_sum(sum, warps);
    valid = block_sum(valid, warps);
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = sum;
        counted[blockIdx.x] = valid;
    }
}

// dx = (prob - target) dloss / divisor, 0 where the target does not count; dx may be prob. `valid`:
// of count_labels, read where the rule has no divisor.
template <class Item>
__global__ void sigmoid_cross_entropy_loss_gradient(Index count, LabelRule rule, const float* dloss,
                                                    const Item* prob, const float* targets,
                                                    const float* valid, Item* dx) {
    const float factor = dloss[0] / (rule.divisor > 0 ? float(rule.divisor) : valid[0]);
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const float away = float(prob[i]) - targets[i];
        dx[i] = Item(is_counted(rule, targets[i]) ? away * factor : 0.0F);
    }
}

// losses[row] = the sum of max(0, 1 - t x)^p over the row's classes, t = 1 at the label and -1
// elsewhere, p = 2 if `is_squared`, else 1; NaN counts as 0.
template <class Item>
__global__ void hinge_loss(Rows rows, LabelRule rule, int is_squared, const Item* x,
                           const float* labels, float* losses, int* fault) {
    for (Index row = row_of_warp(); row < rows.outer; row += warps_of_grid()) {
        const Index label = label_of(rows, rule, labels, row, fault);
        float sum = 0;
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const float score = float(x[row * rows.classes + c]);
            const float slack = c == label ? 1 - score : 1 + score;
            if (slack > 0) sum += is_squared ? slack * slack : slack;
        }
        sum = warp_sum(sum);
        if (lane_of_warp() == 0) losses[row] = sum;
    }
}

// dx may be x.
template <class Item>
__global__ void hinge_loss_gradient(Rows rows, LabelRule rule, int is_squared, const float* dloss,
                                    const Item* x, const float* labels, Item* dx, int* fault) {
    const float factor = dloss[0] / float(rows.outer);
    for (Index row = row_of_warp(); row < rows.outer; row += warps_of_grid()) {
        const Index label = label_of(rows, rule, labels, row, fault);
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const Index at = row * rows.classes + c;
            const float sign = c == label ? 1.0F : -1.0F, slack = 1 - sign * float(x[at]);
            const float slope = is_squared ? 2 * slack : 1.0F;
            dx[at] = Item(slack > 0 ? -sign * slope * factor : 0.0F);
        }
    }
}

constexpr float kSmallestProb = 1e-20F;

// losses[row] = -log(picked), picked = max(x[label], 1e-20); `picked` may be null.
template <class Item>
__global__ void multinomial_logistic_loss(Rows rows, LabelRule rule, const Item* x,
                                          const float* labels, float* picked, float* losses,
                                          int* fault) {
    for (Index row = row_of_warp(); row < rows.outer; row += warps_of_grid()) {
        const Index label = label_of(rows, rule, labels, row, fault);
        if (lane_of_warp() != 0 || label < 0) continue;
        const float prob = float(x[row * rows.classes + label]);
        const float kept = prob < kSmallestProb ? kSmallestProb : prob;
        if (picked) picked[row] = kept;
        losses[row] = -logf(kept);
    }
}

template <class Item>
__global__ void multinomial_logistic_loss_gradient(Rows rows, LabelRule rule, const float* dloss,
                                                   const float* picked, const float* labels,
                                                   Item* dx, int* fault) {
    const float factor = -dloss[0] / float(rows.outer);
    for (Index row = row_of_warp(); row < rows.outer; row += warps_of_grid()) {
        const Index label = label_of(rows, rule, labels, row, fault);
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const float slope = c == label ? factor / picked[row] : 0.0F;
            dx[row * rows.classes + c] = Item(slope);
        }
    }
}

// losses[row] = -sum of gains[label, c] log(max(prob[c], 1e-20)) over the row, prob its softmax, 0
// of one that does not count; counted[row]: 1 or 0. `prob` may be null.
template <class Item>
__global__ void infogain_loss(Rows rows, LabelRule rule, const Item* x, const float* labels,
                              const float* gains, Item* prob, float* losses, float* counted,
                              int* fault) {
    const Index count = rows.outer * rows.inner;
    for (Index row = row_of_warp(); row < count; row += warps_of_grid()) {
        const Index start = start_of(rows, row);
        const Item* const from = x + start;
        const float most = row_max(rows, from), sum = row_sum_of_exps(rows, from, most);
        const Index label = label_of(rows, rule, labels, row, fault);
        float loss = 0;
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const float share = expf(float(from[c * rows.inner]) - most) / sum;
            if (prob) prob[start + c * rows.inner] = Item(share);
            if (label < 0) continue;
            loss -= gains[label * rows.classes + c] *
                    logf(share < kSmallestProb ? kSmallestProb : share);
        }
        loss = warp_sum(loss);
        if (lane_of_warp() != 0) continue;
        losses[row] = loss;
        counted[row] = float(label >= 0);
    }
}

// With h = gains[label], dx = (prob * the sum of h - h) dloss / divisor, 0 in rows that do not
// count; dx may be prob. `valid`: of count_labels, read where the rule has no divisor.
template <class Item>
__global__ void infogain_loss_gradient(Rows rows, LabelRule rule, const float* dloss,
                                       const Item* prob, const float* labels, const float* gains,
                                       const float* valid, Item* dx, int* fault) {
    const float factor = dloss[0] / (rule.divisor > 0 ? float(rule.divisor) : valid[0]);
    const Index count = rows.outer * rows.inner;
    for (Index row = row_of_warp(); row < count; row += warps_of_grid()) {
        const Index start = start_of(rows, row), label = label_of(rows, rule, labels, row, fault);
        const float* const own = gains + greater(label, 0) * rows.classes;
        float whole = 0;
        for (Index c = lane_of_warp(); label >= 0 && c < rows.classes; c += kWarp) whole += own[c];
        whole = warp_sum(whole);
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const Index at = start + c * rows.inner;
            dx[at] = Item(label < 0 ? 0.0F : (float(prob[at]) * whole - own[c]) * factor);
        }
    }
}

// d^2 of a row's differences; the same in every lane.
template <class Item>
__device__ float row_squares(const Item* diff, Index size) {
    float sum = 0;
    for (Index c = lane_of_warp(); c < size; c += kWarp) sum += float(diff[c]) * float(diff[c]);
    return warp_sum(sum);
}

// losses[row] = d^2 of a similar row, else max(0, margin - d)^2, or if `is_legacy` max(0, margin -
// d^2); `diff` = left - right.
template <class Item>
__global__ void contrastive_loss(Rows rows, float margin, int is_legacy, const Item* left,
                                 const Item* right, const float* similar, Item* diff,
                                 float* losses) {
    for (Index row = row_of_warp(); row < rows.outer; row += warps_of_grid()) {
        float square = 0;
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const Index at = row * rows.classes + c;
            const float away = float(left[at]) - float(right[at]);
            if (diff) diff[at] = Item(away);
            square += away * away;
        }
        square = warp_sum(square);
        if (lane_of_warp() != 0) continue;
        const float gap = margin - (is_legacy ? square : sqrtf(square));
        const float push = gap < 0 ? 0.0F : gap;  // a NaN stays
        const bool is_similar = truncf(similar[row]) != 0;
        losses[row] = is_similar ? square : is_legacy ? push : push * push;
    }
}

// dx = diff dloss sign / N, times 1 in similar rows, else times (d - margin) / (d + 1e-4) while
// that is negative, or if `is_legacy` times -1 while d^2 is below the margin. A row without
// influence is 0 even where its difference is not finite. dx may be diff.
template <class Item>
__global__ void contrastive_loss_gradient(Rows rows, float margin, int is_legacy, float sign,
                                          const float* dloss, const Item* diff,
                                          const float* similar, Item* dx) {
    const float alpha = sign * dloss[0] / float(rows.outer);
    for (Index row = row_of_warp(); row < rows.outer; row += warps_of_grid()) {
        const Item* const own = diff + row * rows.classes;
        const float square = row_squares(own, rows.classes), d = sqrtf(square);
        const float gap = margin - (is_legacy ? square : d);
        float factor = gap > 0 ? (is_legacy ? -1.0F : -gap / (d + 1e-4F)) : 0.0F;
        if (truncf(similar[row]) != 0) factor = 1;
        for (Index c = lane_of_warp(); c < rows.classes; c += kWarp) {
            const float slope = factor == 0 ? 0.0F : alpha * factor * float(own[c]);
            dx[row * rows.classes + c] = Item(slope);
        }
    }
}

}  // namespace graphc
