// Part of loops.h: from kernels to points.
#pragma once

#include "kernels/winograd/types.h"

namespace graphc::winograd {

// One number for each output of a panel; doubles, so that only the end is rounded.
using Doubles = double[kMostOutputs];

// u = G g, the polynomial g at the six points, each divided by the product of the point's distances
// to the others. Rows of both operands lie kStep apart.
template <class S, int kStep>
inline void evaluate_weight(const Doubles* __restrict g, Doubles* __restrict u) {
    constexpr double near = kNear, far = kFar, near2 = kNear2, far2 = kFar2;
    constexpr double at_zero = 1 / (near2 * far2);
    constexpr double at_near = 1 / (2 * near2 * (near2 - far2));
    constexpr double at_far = 1 / (2 * far2 * (far2 - near2));
    for (int o = 0; o < kMostOutputs; ++o) {
        const double g0 = g[0][o], g1 = g[kStep][o], g2 = g[2 * kStep][o];
        u[0][o] = at_zero * g0;
        u[1 * kStep][o] = at_near * (g0 + near2 * g2 + near * g1);
        u[2 * kStep][o] = at_near * (g0 + near2 * g2 - near * g1);
        u[3 * kStep][o] = at_far * (g0 + far2 * g2 + far * g1);
        u[4 * kStep][o] = at_far * (g0 + far2 * g2 - far * g1);
        u[5 * kStep][o] = g2;
    }
}

// Kernels of all outputs of a panel for one channel of x; writes `row` floats for each point.
template <class S>
void weight(const float (*kernels)[kMostOutputs], std::int64_t row, float* to,
            std::int64_t point_step) {
    Doubles g[kKernel * kKernel], half[kPatch * kKernel], u[kPoints];
    for (int t = 0; t < kKernel * kKernel; ++t) {
        for (int o = 0; o < kMostOutputs; ++o) g[t][o] = double(kernels[t][o]);
    }
    for (int j = 0; j < kKernel; ++j) evaluate_weight<S, kKernel>(g + j, half + j);
    for (int i = 0; i < kPatch; ++i) evaluate_weight<S, 1>(half + i * kKernel, u + i * kPatch);
    for (int point = 0; point < kPoints; ++point, to += point_step) {
        for (std::int64_t o = 0; o < row; ++o) to[o] = float(u[point][o]);
    }
}

}  // namespace graphc::winograd
