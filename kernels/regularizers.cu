// What regularizers of groups add to a weight's gradient. Group lasso: Yuan and Lin 2006; force:
// Wen et al., "Coordinating Filters for Faster Deep Neural Networks" (ICCV 2017).
#include "grid.h"
#include "storage.h"

namespace graphc {

// squares[g] = the sum of the squares of w (outer, groups, inner) over outer and inner; a block for
// each group.
__global__ void group_squares(Index outer, Index groups, Index inner, const float* w,
                              float* squares) {
    GRAPHC_SHARED(float, warps);
    float sum = 0;
    for (Index i = threadIdx.x; i < outer * inner; i += blockDim.x) {
        const float value = w[(i / inner * groups + blockIdx.x) * inner + i % inner];
        sum += value * value;
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

// term = strength * w / norm of the group, 0 in one without any.
__global__ void group_lasso(Index count, Index groups, Index inner, float strength, const float* w,
                            const float* squares, float* term) {
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const float square = squares[i / inner % groups];
        term[i] = square > 0 ? strength * w[i] / sqrtf(square) : 0.0F;
    }
}

constexpr float kNothing = 1e-4F;  // a norm or a distance that is taken for 0

// units[i] = w[i] / |w[i]|, 0 where that is nothing; w (rows, size), squares (rows).
__global__ void unit_rows(Index rows, Index size, const float* w, const float* squares,
                          float* units) {
    for (Index i = thread_in_grid(); i < rows * size; i += threads_of_grid()) {
        const float norm = sqrtf(squares[i / size]);
        units[i] = norm > kNothing ? w[i] / norm : 0.0F;
    }
}

// forces[i, j] = |u[i] - u[j]|^-power, 0 for rows that are nothing or too near, in place of u[i]
// u[j]; of near ones the distance is taken anew, for 2 - 2 u[i] u[j] has lost its digits.
__global__ void pair_forces(Index rows, Index size, int power, const float* squares,
                            const float* units, float* forces) {
    for (Index at = thread_in_grid(); at < rows * rows; at += threads_of_grid()) {
        const Index i = at / rows, j = at % rows;
        float square = 2 - 2 * forces[at];
        if (square < 1e-3F) {
            square = 0;
            for (Index k = 0; k < size; ++k) {
                const float away = units[i * size + k] - units[j * size + k];
                square += away * away;
            }
        }
        const bool is_there = squares[i] > kNothing * kNothing && squares[j] > kNothing * kNothing;
        const float distance = sqrtf(square);
        forces[at] = is_there && distance > kNothing ? powf(distance, -float(power)) : 0.0F;
    }
}

// pulls[i] = the sum over j of forces[i, j] (u[j] - u[i]): of near rows the difference is what
// keeps digits.
__global__ void pull_rows(Index rows, Index size, const float* units, const float* forces,
                          float* pulls) {
    for (Index at = thread_in_grid(); at < rows * size; at += threads_of_grid()) {
        const Index i = at / size, k = at % size;
        float sum = 0;
        for (Index j = 0; j < rows; ++j) {
            sum += forces[i * rows + j] * (units[j * size + k] - units[at]);
        }
        pulls[at] = sum;
    }
}

// term[i] = -strength |w[i]| (f - (f u[i]) u[i]) with f = pulls[i * pull_step ...]; a block for
// each row.
__global__ void force_term(Index size, Index pull_step, float strength, const float* squares,
                           const float* units, const float* pulls, float* term) {
    GRAPHC_SHARED(float, warps);
    const Index row = Index(blockIdx.x) * size;
    const float* const pull = pulls + blockIdx.x * pull_step;
    float along = 0;
    for (Index k = threadIdx.x; k < size; k += blockDim.x) along += pull[k] * units[row + k];
    along = block_sum(along, warps);
    const float norm = sqrtf(squares[blockIdx.x]),
                factor = norm > kNothing ? strength * norm : 0.0F;
    for (Index k = threadIdx.x; k < size; k += blockDim.x) {
        term[row + k] = -factor * (pull[k] - along * units[row + k]);
    }
}

}  // namespace graphc
