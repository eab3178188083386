// Part of gemm_loops.h: tiles of a few columns, which have rows in their lanes, as a vector of
// columns would be empty for the most part. Two of them share what they load of their columns.
#pragma once

#include "kernels/loops/tile.h"

namespace graphc {

// Takes `columns` vectors of sums, a row of the tile in each lane, to `sums` as sum_tile lays them.
template <class S>
void lay_narrow(const float* turned, int columns, int rows, float* sums) {
    typename S::Reg tile[S::width];
    load_turned<S>(turned, S::width, columns, tile);
    for (int i = 0; i < rows; ++i) S::store(sums + i * S::width, tile[i]);
}

// The sums of sum_tile for each job, bit by bit; the jobs differ in `a` and in how many rows it
// has.
template <class S, int Columns, int Jobs, class Job, class RightOf>
inline void sum_narrow(const Job* jobs, const int* rows, const RightOf& right_of,
                       float (&turned)[Jobs][Columns * S::width]) {
    using Reg = typename S::Reg;
    const float *a[Jobs], *ahead = jobs[0].ahead;
    Reg sum[Columns][Jobs];
    GRAPHC_UNROLL
    for (int i = 0; i < Jobs; ++i) {
        a[i] = jobs[i].a;
        GRAPHC_UNROLL
        for (int j = 0; j < Columns; ++j) sum[j][i] = S::zero();
    }
    for (std::int64_t k = 0; k < jobs[0].depth; ++k) {
        prefetch_for_later(ahead);
        ahead += jobs[0].ahead_step;
        const float* b = right_of(k);
        Reg left[Jobs];
        GRAPHC_UNROLL
        for (int i = 0; i < Jobs; ++i) {
            left[i] = S::load_first(a[i], rows[i]);
            a[i] += rows[i];
        }
        GRAPHC_UNROLL
        for (int j = 0; j < Columns; ++j) {
            const Reg right = S::set(b[j]);
            GRAPHC_UNROLL
            for (int i = 0; i < Jobs; ++i) sum[j][i] = S::multiply_add(left[i], right, sum[j][i]);
        }
    }
    GRAPHC_UNROLL
    for (int i = 0; i < Jobs; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Columns; ++j) S::store(turned[i] + j * S::width, sum[j][i]);
    }
}

template <class S, int Columns, int Jobs>
void narrow_tile(const TileJob* jobs, const int* rows, const TileStore* to) {
    alignas(64) float turned[Jobs][Columns * S::width], sums[S::width * S::width];
    const auto right_of = [b = jobs[0].b](std::int64_t k) { return b + k * S::width; };
    sum_narrow<S, Columns, Jobs>(jobs, rows, right_of, turned);
    for (int i = 0; i < Jobs; ++i) {
        lay_narrow<S>(turned[i], Columns, rows[i], sums);
        finish<S>(sums, S::width, rows[i], 1, to[i]);
    }
}

template <class S, int Columns, int Jobs>
void narrow_band_tile(const BandJob* jobs, const int* rows, const TileStore* to) {
    alignas(64) float turned[Jobs][Columns * S::width], sums[(S::width + 1) * S::width];
    const auto right_of = [b = jobs[0].b, at = jobs[0].offsets](std::int64_t k) {
        return b + at[k];
    };
    sum_narrow<S, Columns, Jobs>(jobs, rows, right_of, turned);
    for (int i = 0; i < Jobs; ++i) {
        lay_narrow<S>(turned[i], Columns, rows[i], sums);
        finish_band<S>(jobs[i], sums, S::width, rows[i], to[i]);
    }
}

}  // namespace graphc
