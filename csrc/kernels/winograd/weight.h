// Part of loops.h: from kernels to points.
#pragma once

#include "kernels/winograd/points.h"

namespace graphc::winograd {

template <class S, int Kernel>
void turn(const TurnJob& job) {
    constexpr int taps = Kernel * Kernel;
    const std::int64_t elements = job.channels * taps;
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
                const std::int64_t c = (k + i) / taps, t = (k + i) % taps;
                S::store(job.to + ((c * job.vectors + vector) * taps + t) * S::width, rows[i]);
            }
        }
    }
}

template <class S, int Kernel>
void weight(const WeightJob& job) {
    using Reg = typename S::Reg;
    constexpr int patch = patch_of(Kernel);
    const std::int64_t point_step = job.point_step;
    const float* from = job.kernels;
    float* to = job.to;
    for (std::int64_t n = job.channels * job.vectors; n > 0; --n) {
        map_both<S, Kernel, patch>(
            [](const auto& g, auto& u) { evaluate_kernel<S, patch, Kernel>(g, u); },
            [=](int i, int j) { return S::load(from + (i * Kernel + j) * S::width); },
            [=](int i, int j, Reg value) { S::store(to + (i * patch + j) * point_step, value); });
        from += Kernel * Kernel * S::width;
        to += S::width;
    }
}

}  // namespace graphc::winograd
