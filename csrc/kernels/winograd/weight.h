// Part of loops.h: from kernels to points.
#pragma once

#include "kernels/loops/finish.h"
#include "kernels/winograd/types.h"

namespace graphc::winograd {

// u = G g, the polynomial g at the six points, each divided by the product of the point's distances
// to the others.
template <class S>
inline void evaluate_weight(const typename S::Reg (&g)[kKernel], typename S::Reg (&u)[kPatch]) {
    using Reg = typename S::Reg;
    const auto pair = [&](float at, float at2, float factor, Reg& plus, Reg& minus) {
        const Reg even = S::multiply_add(S::set(at2), g[2], g[0]);
        plus = S::multiply(S::set(factor), S::multiply_add(S::set(at), g[1], even));
        minus = S::multiply(S::set(factor), S::multiply_add(S::set(-at), g[1], even));
    };
    u[0] = S::multiply(S::set(1 / (kNear2 * kFar2)), g[0]);
    pair(kNear, kNear2, 1 / (2 * kNear2 * (kNear2 - kFar2)), u[1], u[2]);
    pair(kFar, kFar2, 1 / (2 * kFar2 * (kFar2 - kNear2)), u[3], u[4]);
    u[5] = g[2];
}

template <class S>
void turn(const TurnJob& job) {
    const std::int64_t elements = job.channels * kTaps;
    for (int vector = 0; vector < job.vectors; ++vector) {
        const std::int64_t output = vector * S::width;
        for (std::int64_t k = 0; k < elements; k += S::width) {
            const std::int64_t left = elements - k;
            typename S::Reg rows[S::width];
            for (int i = 0; i < S::width; ++i) {
                const float* from = job.weight + (output + i) * job.output_step + k;
                rows[i] = output + i >= job.outputs ? S::zero()
                          : left >= S::width        ? S::load(from)
                                                    : S::load_first(from, int(left));
            }
            S::transpose(rows);
            for (int i = 0; i < S::width && i < left; ++i) {
                const std::int64_t c = (k + i) / kTaps, t = (k + i) % kTaps;
                S::store(job.to + ((c * job.vectors + vector) * kTaps + t) * S::width, rows[i]);
            }
        }
    }
}

template <class S>
void weight(const WeightJob& job) {
    using Reg = typename S::Reg;
    const float* from = job.kernels;
    float* to = job.to;
    for (std::int64_t n = job.channels * job.vectors; n > 0; --n) {
        Reg half[kKernel][kPatch];
        GRAPHC_UNROLL
        for (int j = 0; j < kKernel; ++j) {
            Reg column[kKernel];
            GRAPHC_UNROLL
            for (int i = 0; i < kKernel; ++i) {
                column[i] = S::load(from + (i * kKernel + j) * S::width);
            }
            evaluate_weight<S>(column, half[j]);
        }
        GRAPHC_UNROLL
        for (int i = 0; i < kPatch; ++i) {
            Reg row[kKernel], points[kPatch];
            GRAPHC_UNROLL
            for (int j = 0; j < kKernel; ++j) row[j] = half[j][i];
            evaluate_weight<S>(row, points);
            GRAPHC_UNROLL
            for (int j = 0; j < kPatch; ++j) {
                S::store(to + (i * kPatch + j) * job.point_step, points[j]);
            }
        }
        from += kTaps * S::width;
        to += S::width;
    }
}

}  // namespace graphc::winograd
