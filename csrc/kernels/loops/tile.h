// Part of gemm_loops.h: tiles of a matrix product.
#pragma once

#include "kernels/loops/finish.h"

namespace graphc {

// Takes a tile of sums, all of whose vectors are whole, to where it belongs.
template <class S, int Rows, int Vectors>
inline void finish_whole(typename S::Reg (&sum)[Rows][Vectors], const TileStore& to) {
    const auto each = [&](const auto& body) {
        GRAPHC_UNROLL
        for (int i = 0; i < Rows; ++i) {
            GRAPHC_UNROLL
            for (int j = 0; j < Vectors; ++j) body(i, j, sum[i][j]);
        }
    };
    using Reg = typename S::Reg;
    if (to.add) {
        each([&](int i, int j, Reg& value) {
            value = S::add(S::load(to.add + i * to.add_row + j * S::width), value);
        });
    }
    if (to.row_bias) {
        each([&](int i, int, Reg& value) { value = S::add(value, S::set(to.row_bias[i])); });
    }
    if (to.activation == Activation::rectify) {
        each([](int, int, Reg& value) { value = S::rectify(value); });
    }
    each([&](int i, int j, Reg& value) { S::store(to.c + i * to.row + j * S::width, value); });
}

// Sums of a (depth, Rows) times `Vectors` vectors from right_of(k) on, for each k of the depth. If
// `is_whole` and nothing unusual follows, they go where they belong; else to `sums`, and false is
// what comes back.
template <class S, int Rows, int Vectors, class Job, class RightOf>
inline bool sum_tile(const Job& job, const RightOf& right_of, const TileStore& to, bool is_whole,
                     float* sums) {
    using Reg = typename S::Reg;
    const float *a = job.a, *ahead = job.ahead;
    Reg sum[Rows][Vectors];
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) sum[i][j] = S::zero();
    }
    for (std::int64_t k = 0; k < job.depth; ++k) {
        prefetch_for_later(ahead);
        ahead += job.ahead_step;
        const float* b = right_of(k);
        Reg right[Vectors];
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) right[j] = S::load(b + j * S::width);
        GRAPHC_UNROLL
        for (int i = 0; i < Rows; ++i) {
            const Reg left = S::set(a[i]);
            GRAPHC_UNROLL
            for (int j = 0; j < Vectors; ++j) {
                sum[i][j] = S::multiply_add(left, right[j], sum[i][j]);
            }
        }
        a += Rows;
    }
    if (is_whole && to.activation != Activation::leaky && !to.column_bias) {
        finish_whole<S, Rows, Vectors>(sum, to);
        return true;
    }
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) S::store(sums + (i * Vectors + j) * S::width, sum[i][j]);
    }
    return false;
}

template <class S, int Rows, int Vectors>
void tile(const TileJob& job, const TileStore& to) {
    constexpr int pitch = Vectors * S::width;
    alignas(64) float sums[Rows * pitch];
    const auto right_of = [b = job.b](std::int64_t k) { return b + k * pitch; };
    if (sum_tile<S, Rows, Vectors>(job, right_of, to, to.last == S::width, sums)) return;
    finish<S>(sums, pitch, Rows, Vectors, to);
}

// Moves the runs of a row of sums to its start; returns how many floats they are.
template <class S>
inline int close_gaps(const BandJob& job, float* row) {
    int at = 0;
    for (int i = 0; i < job.run_count; ++i) {
        const BandJob::Run run = job.runs[i];
        for (int j = 0; run.first != at && j < run.count; j += S::width) {
            const int left = run.count - j;
            const typename S::Reg some = S::load(row + run.first + j);
            if (left >= S::width) {
                S::store(row + at + j, some);
            } else {
                S::store_first(row + at + j, some, left);
            }
        }
        at += run.count;
    }
    return at;
}

// Takes what is kept of rows of sums, `pitch` floats apart, to where it belongs. A vector is read
// beyond the last.
template <class S>
inline void finish_band(const BandJob& job, float* sums, int pitch, int rows, const TileStore& to) {
    int count = 0;
    for (int i = 0; i < rows; ++i) count = close_gaps<S>(job, sums + i * pitch);
    TileStore here = to;
    here.last = (count - 1) % S::width + 1;
    finish<S>(sums, pitch, rows, (count - 1) / S::width + 1, here);
}

template <class S, int Rows, int Vectors>
void band_tile(const BandJob& job, const TileStore& to) {
    constexpr int pitch = Vectors * S::width;
    alignas(64) float sums[Rows * pitch + S::width];  // a vector may be read beyond the last run
    const auto right_of = [b = job.b, at = job.offsets](std::int64_t k) { return b + at[k]; };
    const bool is_whole = job.runs[0].count == pitch;
    if (sum_tile<S, Rows, Vectors>(job, right_of, to, is_whole, sums)) return;
    finish_band<S>(job, sums, pitch, Rows, to);
}

// Rows of a square tile; `count` of them are read.
template <class S>
void load_turned(const float* from, std::int64_t row, int count, typename S::Reg* rows) {
    for (int i = 0; i < S::width; ++i) rows[i] = i < count ? S::load(from + i * row) : S::zero();
    S::transpose(rows);
}

template <class S>
void turn(const float* tile, std::int64_t row, int columns, int outputs, const TileStore& to) {
    typename S::Reg rows[S::width];
    load_turned<S>(tile, row, columns, rows);
    alignas(64) float sums[S::width * S::width];
    for (int i = 0; i < S::width; ++i) S::store(sums + i * S::width, rows[i]);
    TileStore here = to;
    here.last = columns;
    finish<S>(sums, S::width, outputs, 1, here);
}

}  // namespace graphc
