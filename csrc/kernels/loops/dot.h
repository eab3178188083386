// Part of gemm_loops.h: dot products.
#pragma once

#include "kernels/loops/tile.h"

namespace graphc {

template <class S, int Rows, int Columns>
void dot(const DotJob& job) {
    using Reg = typename S::Reg;
    constexpr int width = S::width;
    Reg sum[Rows][Columns];
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Columns; ++j) {
            sum[i][j] = job.is_first ? S::zero() : S::load(job.partial + (i * Columns + j) * width);
        }
    }
    const float* x = job.x;
    const float* w = job.w;
    std::int64_t left = job.depth;
    for (; left >= width; left -= width) {
        Reg from_x[Rows];
        GRAPHC_UNROLL
        for (int i = 0; i < Rows; ++i) from_x[i] = S::load(x + i * job.x_row);
        GRAPHC_UNROLL
        for (int j = 0; j < Columns; ++j) {
            const Reg from_w = S::load(w + j * job.w_row);
            GRAPHC_UNROLL
            for (int i = 0; i < Rows; ++i) {
                sum[i][j] = S::multiply_add(from_x[i], from_w, sum[i][j]);
            }
        }
        x += width;
        w += width;
    }
    if (left > 0) {
        GRAPHC_UNROLL
        for (int j = 0; j < Columns; ++j) {
            const Reg from_w = S::load_first(w + j * job.w_row, int(left));
            GRAPHC_UNROLL
            for (int i = 0; i < Rows; ++i) {
                const Reg from_x = S::load_first(x + i * job.x_row, int(left));
                sum[i][j] = S::multiply_add(from_x, from_w, sum[i][j]);
            }
        }
    }
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Columns; ++j) {
            S::store(job.partial + (i * Columns + j) * width, sum[i][j]);
        }
    }
}

template <class S>
void sum_lanes(const float* lanes, std::int64_t count, float* sums) {
    constexpr int width = S::width;
    for (std::int64_t i = 0; i < count; i += width) {
        const int left = count - i < width ? int(count - i) : width;
        typename S::Reg part[width];
        load_turned<S>(lanes + i * width, width, left, part);
        for (int half = width / 2; half > 0; half /= 2) {
            for (int j = 0; j < half; ++j) part[j] = S::add(part[j], part[j + half]);
        }
        S::store_first(sums + i, part[0], left);
    }
}

}  // namespace graphc
