// Part of gemm_loops.h: convolution of single channels.
#pragma once

#include "kernels/loops/finish.h"

namespace graphc {

// Adds to `Rows` rows of outputs what a kernel of Size * Size taps meets in one vector of columns:
// each row of x is read once for all of them. Rows that x lacks are left out.
template <class S, int Step, int Rows, int Size, int Stride, bool IsInner>
inline void add_rows(const SlideJob& job, std::int64_t top, const Piece* pieces,
                     typename S::Reg* sum) {
    const float *x = job.x + top * job.x_row, *weights = job.weights;
    const std::int64_t x_row = job.x_row, height = job.height, step = job.step;
    Piece piece[Size];
    GRAPHC_UNROLL
    for (int j = 0; j < Size; ++j) piece[j] = pieces[j];
    constexpr int kept = Size == 3 ? 9 : 0;  // as many weights as registers hold
    typename S::Reg weight[kept + 1];
    GRAPHC_UNROLL
    for (int t = 0; t < kept; ++t) weight[t] = S::set(weights[t]);
    GRAPHC_UNROLL
    for (int r = 0; r < (Rows - 1) * Stride + Size; ++r, x += x_row) {
        if (!IsInner && (top + r < 0 || top + r >= height)) continue;
        GRAPHC_UNROLL
        for (int j = 0; j < Size; ++j) {
            const typename S::Reg met = S::template put<Step>(S::zero(), x, piece[j], step);
            GRAPHC_UNROLL
            for (int i = 0; i < Rows; ++i) {
                const int tap = r - i * Stride;
                if (tap < 0 || tap >= Size) continue;
                const int t = tap * Size + j;
                sum[i] = S::multiply_add(t < kept ? weight[t] : S::set(weights[t]), met, sum[i]);
            }
        }
    }
}

template <class S, int Step, int Rows, int Size, int Stride>
inline void slide_rows(const SlideJob& job, std::int64_t row, const Piece* pieces,
                       const TileStore& to) {
    using Reg = typename S::Reg;
    Reg sum[Rows];
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) sum[i] = S::zero();
    const std::int64_t top = job.top + row * Stride;
    if (top >= 0 && top + (Rows - 1) * Stride + Size <= job.height) {
        add_rows<S, Step, Rows, Size, Stride, true>(job, top, pieces, sum);
    } else {
        add_rows<S, Step, Rows, Size, Stride, false>(job, top, pieces, sum);
    }
    if (to.add || to.activation == Activation::leaky) {
        for (int i = 0; i < Rows; ++i) {
            finish_vector<S>(sum[i], to, row + i, 0, to.last == S::width, to.row_bias);
        }
        return;
    }
    const bool has_bias = to.row_bias != nullptr;
    const Reg bias = has_bias ? S::set(*to.row_bias) : S::zero();
    const bool rectifies = to.activation == Activation::rectify;
    const int last = to.last;
    float* c = to.c + row * to.row;
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i, c += to.row) {
        Reg value = has_bias ? S::add(sum[i], bias) : sum[i];
        if (rectifies) value = S::rectify(value);
        if (last == S::width) {
            S::store(c, value);
        } else {
            S::store_first(c, value, last);
        }
    }
}

template <class S, int Step, int Size, int Stride>
void slide_down(const SlideJob& job, const Piece* pieces, const TileStore& to) {
    constexpr int many = 4;
    std::int64_t row = 0;
    for (; row + many <= job.rows; row += many) {
        slide_rows<S, Step, many, Size, Stride>(job, row, pieces, to);
    }
    switch (job.rows - row) {
        case 3:
            return slide_rows<S, Step, 3, Size, Stride>(job, row, pieces, to);
        case 2:
            return slide_rows<S, Step, 2, Size, Stride>(job, row, pieces, to);
        case 1:
            return slide_rows<S, Step, 1, Size, Stride>(job, row, pieces, to);
    }
}

// One row of outputs for a kernel of any size.
template <class S, int Step>
void slide_row(const SlideJob& job, std::int64_t row, const Piece* pieces, const TileStore& to) {
    typename S::Reg sum = S::zero();
    for (std::int64_t i = 0; i < job.high; ++i) {
        const std::int64_t at = job.top + row * job.stride + i * job.dilation;
        if (at < 0 || at >= job.height) continue;
        const float *x = job.x + at * job.x_row, *weights = job.weights + i * job.wide;
        for (std::int64_t j = 0; j < job.wide; ++j) {
            const typename S::Reg met = S::template put<Step>(S::zero(), x, pieces[j], job.step);
            sum = S::multiply_add(S::set(weights[j]), met, sum);
        }
    }
    finish_vector<S>(sum, to, row, 0, to.last == S::width, to.row_bias);
}

template <class S, int Step>
void slide_stepped(const SlideJob& job, const TileStore& to) {
    const auto is = [&](int size, int stride) {
        return job.high == size && job.wide == size && job.stride == stride && job.dilation == 1;
    };
    const Piece* pieces = job.pieces;
    TileStore here = to;
    for (std::int64_t j = 0; j < job.columns; j += S::width, pieces += job.wide) {
        here.last = int(job.columns - j < S::width ? job.columns - j : S::width);
        here.c = to.c + j;
        if (to.add) here.add = to.add + j;
        if (is(3, 1)) {
            slide_down<S, Step, 3, 1>(job, pieces, here);
        } else if (is(3, 2)) {
            slide_down<S, Step, 3, 2>(job, pieces, here);
        } else if (is(5, 1)) {
            slide_down<S, Step, 5, 1>(job, pieces, here);
        } else {
            for (std::int64_t i = 0; i < job.rows; ++i) slide_row<S, Step>(job, i, pieces, here);
        }
    }
}

template <class S>
void slide(const SlideJob& job, const TileStore& to) {
    if (job.step == 1) return slide_stepped<S, 1>(job, to);
    if (job.step == 2) return slide_stepped<S, 2>(job, to);
    slide_stepped<S, 0>(job, to);
}

}  // namespace graphc
