// Part of loops.h: from patches of x and tiles of y's gradient to points, and from points to a tile
// of y and to the gradient of a kernel.
#pragma once

#include "kernels/winograd/points.h"

namespace graphc::winograd {

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

// A vector of channels of a square of pixels with zeros for those outside, row by row.
template <class S, int Extent>
inline void copy_inside(const float* from, std::int64_t pitch, std::int64_t lanes,
                        const Inside<S>& rows, const Inside<S>& columns, float* to) {
    GRAPHC_UNROLL
    for (int i = 0; i < Extent; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Extent; ++j) S::store(to + (i * Extent + j) * S::width, S::zero());
    }
    for (int i = rows.first; i < rows.stop; ++i) {
        for (int j = columns.first; j < columns.stop; ++j) {
            S::store(to + (i * Extent + j) * S::width, S::load(from + i * pitch + j * lanes));
        }
    }
}

// Squares of Extent pixels to Patch by Patch points, by `map`. Of those that reach outside, large
// ones are copied first: so many loads that each ask where they are would take longer.
template <class S, int Extent, int Patch, class Map>
inline void take_to_points(const InputJob& job, const Map& map) {
    constexpr bool copies = Extent > 6;
    const TileRun& run = job.tiles;
    const std::int64_t lanes = run.lanes, pitch = run.width * lanes, point_step = job.point_step;
    const Inside<S> rows(run.top, Extent, run.height);
    float copy[copies ? Extent * Extent * S::width : 1];
    for (std::int64_t t = 0; t < run.count; ++t) {
        const std::int64_t left = run.left + t * kTile;
        const Inside<S> columns(left, Extent, run.width);
        const bool is_whole = rows.is_whole(Extent) && columns.is_whole(Extent);
        const float* x = job.x + run.top * pitch + left * run.lanes;
        float* v = job.v + t * job.tile_step;
        for (std::int64_t c = 0; c < run.lanes; c += S::width, v += job.vector_step) {
            const auto store = [=](int i, int j, typename S::Reg value) {
                S::store(v + (i * Patch + j) * point_step, value);
            };
            const auto load = [=](int i, int j) { return S::load(x + i * pitch + j * lanes + c); };
            if (is_whole) {
                map_both<S, Extent, Patch>(map, load, store);
            } else if constexpr (copies) {
                copy_inside<S, Extent>(x + c, pitch, lanes, rows, columns, copy);
                map_both<S, Extent, Patch>(
                    map, [&](int i, int j) { return S::load(copy + (i * Extent + j) * S::width); },
                    store);
            } else {
                map_both<S, Extent, Patch>(
                    map,
                    [=](int i, int j) {
                        return rows.has(i) && columns.has(j) ? load(i, j) : S::zero();
                    },
                    store);
            }
        }
    }
}

template <class S, int Kernel>
void input(const InputJob& job) {
    constexpr int patch = patch_of(Kernel);
    take_to_points<S, patch, patch>(job,
                                    [](const auto& d, auto& p) { evaluate_patch<S, patch>(d, p); });
}

template <class S, int Kernel>
void gradient_input(const InputJob& job) {
    constexpr int patch = patch_of(Kernel);
    take_to_points<S, kTile, patch>(
        job, [](const auto& d, auto& p) { evaluate_kernel<S, patch, kTile>(d, p); });
}

template <class S, int Kernel>
void output(const OutputJob& job) {
    using Reg = typename S::Reg;
    constexpr int patch = patch_of(Kernel);
    const TileRun& run = job.tiles;
    const std::int64_t lanes = run.lanes, pitch = run.width * lanes, point_step = job.point_step;
    const Reg bias = job.bias ? S::load_first(job.bias, job.used) : S::zero();
    const Reg slope = S::set(job.slope);
    const int rows = Inside<S>(run.top, kTile, run.height).stop;
    const bool rectifies = job.activation == Activation::rectify;
    const bool is_simple = rows == kTile && job.used == S::width && !job.residual &&
                           job.activation != Activation::leaky;
    const auto map = [](const auto& m, auto& y) { interpolate<S, patch, kTile>(m, y); };
    for (std::int64_t t = 0; t < run.count; ++t) {
        const float* m = job.m + t * S::width;
        const auto load = [=](int i, int j) { return S::load(m + (i * patch + j) * point_step); };
        const std::int64_t left = run.left + t * kTile, first = run.top * pitch + left * lanes;
        const int columns = Inside<S>(left, kTile, run.width).stop;
        if (is_simple && columns == kTile) {
            float* y = job.y + first;
            map_both<S, patch, kTile>(map, load, [=](int i, int j, Reg value) {
                value = S::add(value, bias);
                S::store(y + i * pitch + j * lanes, rectifies ? S::rectify(value) : value);
            });
            continue;
        }
        Reg sums[kTile][kTile];
        map_both<S, patch, kTile>(map, load, [&](int i, int j, Reg value) { sums[i][j] = value; });
        for (int i = 0; i < rows; ++i) {
            for (int j = 0; j < columns; ++j) {
                const std::int64_t pixel = first + i * pitch + j * lanes;
                Reg value = sums[i][j];
                if (job.residual) value = S::add(S::load(job.residual + pixel), value);
                value = S::add(value, bias);
                if (rectifies) value = S::rectify(value);
                if (job.activation == Activation::leaky) value = S::rectify(value, slope);
                S::store(job.y + pixel, value);
                for (int c = job.used; c < S::width; ++c) job.y[pixel + c] = 0;
            }
        }
    }
}

template <class S, int Kernel>
void gradient_output(const KernelJob& job) {
    using Reg = typename S::Reg;
    constexpr int patch = patch_of(Kernel);
    map_both<S, patch, Kernel>(
        [](const auto& m, auto& y) { interpolate<S, patch, Kernel>(m, y); },
        [&](int i, int j) {
            const float* m = job.m + (i * patch + j) * job.point_step;
            Reg sum = S::zero();
            for (std::int64_t part = 0; part < job.parts; ++part) {
                sum = S::add(sum, S::load(m + part * job.part_step));
            }
            return sum;
        },
        [&](int i, int j, Reg value) { S::store(job.to + (i * Kernel + j) * S::width, value); });
}

}  // namespace graphc::winograd
