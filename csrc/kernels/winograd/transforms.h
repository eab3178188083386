// Part of loops.h: from a patch of x to points, and from points to a tile of y.
#pragma once

#include "kernels/loops/finish.h"
#include "kernels/winograd/types.h"

namespace graphc::winograd {

// p = B^T d, the values at the six points of the polynomial whose coefficients are d.
template <class S>
inline void evaluate(const typename S::Reg (&d)[kPatch], typename S::Reg (&p)[kPatch]) {
    using Reg = typename S::Reg;
    const Reg both = S::set(kNear2 * kFar2), sum = S::set(-(kNear2 + kFar2));
    p[0] = S::multiply_add(both, d[0], S::multiply_add(sum, d[2], d[4]));
    p[5] = S::multiply_add(both, d[1], S::multiply_add(sum, d[3], d[5]));
    const auto pair = [&](float at, float other2, Reg& plus, Reg& minus) {
        const Reg factor = S::set(-other2);
        const Reg even = S::multiply_add(factor, d[2], d[4]);
        const Reg odd = S::multiply_add(factor, d[1], d[3]);
        plus = S::multiply_add(S::set(at), odd, even);
        minus = S::multiply_add(S::set(-at), odd, even);
    };
    pair(kNear, kFar2, p[1], p[2]);
    pair(kFar, kNear2, p[3], p[4]);
}

// y = A^T m, four sums from the products at the six points.
template <class S>
inline void interpolate(const typename S::Reg (&m)[kPatch], typename S::Reg (&y)[kTile]) {
    using Reg = typename S::Reg;
    const Reg minus = S::set(-1);
    const Reg near_sum = S::add(m[1], m[2]), near_gap = S::multiply_add(minus, m[2], m[1]);
    const Reg far_sum = S::add(m[3], m[4]), far_gap = S::multiply_add(minus, m[4], m[3]);
    const auto blend = [&](float near, Reg a, float far, Reg b) {
        return S::multiply_add(S::set(far), b, S::multiply(S::set(near), a));
    };
    y[0] = S::add(m[0], S::add(near_sum, far_sum));
    y[1] = blend(kNear, near_gap, kFar, far_gap);
    y[2] = blend(kNear2, near_sum, kFar2, far_sum);
    y[3] = S::add(m[5], blend(kNear2 * kNear, near_gap, kFar2 * kFar, far_gap));
}

// Which of `extent` rows from `start` on lie inside 0 .. size - 1. (A template, as each Isa must
// have its own.)
template <class S>
struct Inside {
    int first, stop;

    Inside(std::int64_t start, int extent, std::int64_t size) {
        first = start >= 0 ? 0 : start > -extent ? int(-start) : extent;
        stop = size - start >= extent ? extent : size > start ? int(size - start) : 0;
    }
    bool has(int i) const { return i >= first && i < stop; }
    bool is_whole(int extent) const { return first == 0 && stop == extent; }
};

// A patch as six columns of registers, `load` of row i and column j; the points go to v.
template <class S, class Load>
inline void input_patch(const Load& load, float* v, std::int64_t point_step) {
    using Reg = typename S::Reg;
    Reg half[kPatch][kPatch];
    GRAPHC_UNROLL
    for (int j = 0; j < kPatch; ++j) {
        Reg column[kPatch];
        GRAPHC_UNROLL
        for (int i = 0; i < kPatch; ++i) column[i] = load(i, j);
        evaluate<S>(column, half[j]);
    }
    GRAPHC_UNROLL
    for (int i = 0; i < kPatch; ++i) {
        Reg row[kPatch], points[kPatch];
        GRAPHC_UNROLL
        for (int j = 0; j < kPatch; ++j) row[j] = half[j][i];
        evaluate<S>(row, points);
        GRAPHC_UNROLL
        for (int j = 0; j < kPatch; ++j) S::store(v + (i * kPatch + j) * point_step, points[j]);
    }
}

template <class S>
void input(const InputJob& job) {
    const TileRun& run = job.tiles;
    const std::int64_t pitch = run.width * run.lanes;
    const Inside<S> rows(run.top, kPatch, run.height);
    for (std::int64_t t = 0; t < run.count; ++t) {
        const std::int64_t left = run.left + t * kTile;
        const Inside<S> columns(left, kPatch, run.width);
        const bool is_whole = rows.is_whole(kPatch) && columns.is_whole(kPatch);
        const float* x = job.x + run.top * pitch + left * run.lanes;
        float* v = job.v + t * S::width;
        for (std::int64_t c = 0; c < run.lanes; c += S::width, v += job.vector_step) {
            if (is_whole) {
                input_patch<S>(
                    [&](int i, int j) { return S::load(x + i * pitch + j * run.lanes + c); }, v,
                    job.point_step);
            } else {
                const auto load = [&](int i, int j) {
                    const bool is_there = rows.has(i) && columns.has(j);
                    return is_there ? S::load(x + i * pitch + j * run.lanes + c) : S::zero();
                };
                input_patch<S>(load, v, job.point_step);
            }
        }
    }
}

// The sums of a tile, row by row.
template <class S>
inline void sum_tile(const float* m, std::int64_t point_step,
                     typename S::Reg (&sums)[kTile][kTile]) {
    using Reg = typename S::Reg;
    Reg half[kPatch][kTile];
    GRAPHC_UNROLL
    for (int j = 0; j < kPatch; ++j) {
        Reg column[kPatch];
        GRAPHC_UNROLL
        for (int i = 0; i < kPatch; ++i) column[i] = S::load(m + (i * kPatch + j) * point_step);
        interpolate<S>(column, half[j]);
    }
    GRAPHC_UNROLL
    for (int i = 0; i < kTile; ++i) {
        Reg row[kPatch];
        GRAPHC_UNROLL
        for (int j = 0; j < kPatch; ++j) row[j] = half[j][i];
        interpolate<S>(row, sums[i]);
    }
}

template <class S>
void output(const OutputJob& job) {
    using Reg = typename S::Reg;
    const TileRun& run = job.tiles;
    const std::int64_t pitch = run.width * run.lanes;
    const Reg bias = job.bias ? S::load_first(job.bias, job.used) : S::zero();
    const Reg slope = S::set(job.slope);
    const int rows = Inside<S>(run.top, kTile, run.height).stop;
    for (std::int64_t t = 0; t < run.count; ++t) {
        Reg sums[kTile][kTile];
        sum_tile<S>(job.m + t * S::width, job.point_step, sums);
        const std::int64_t left = run.left + t * kTile;
        const int columns = Inside<S>(left, kTile, run.width).stop;
        for (int i = 0; i < rows; ++i) {
            const std::int64_t at = (run.top + i) * pitch + left * run.lanes;
            for (int j = 0; j < columns; ++j) {
                const std::int64_t pixel = at + j * run.lanes;
                Reg value = sums[i][j];
                if (job.residual) value = S::add(S::load(job.residual + pixel), value);
                value = S::add(value, bias);
                if (job.activation == Activation::rectify) value = S::rectify(value);
                if (job.activation == Activation::leaky) value = S::rectify(value, slope);
                S::store(job.y + pixel, value);
                for (int c = job.used; c < S::width; ++c) job.y[pixel + c] = 0;
            }
        }
    }
}

}  // namespace graphc::winograd
