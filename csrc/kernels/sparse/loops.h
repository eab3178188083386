// The inner loops of sparse products, for any Simd. Included by the files of this folder that are
// named for an Isa only, after the instructions are switched on; nothing of the standard library
// may be used here.
#pragma once

#include "kernels/loops/finish.h"
#include "kernels/sparse/types.h"

namespace graphc::sparse {

// Vectors lie next to each other in x. One broadcast serves them all, which is why rows are long.
template <class S, int Vectors, bool IsWhole>
void row(const RowJob& job) {
    using Reg = typename S::Reg;
    constexpr int width = S::width;
    const int last = job.last;
    Reg sum[Vectors];
    GRAPHC_UNROLL
    for (int i = 0; i < Vectors; ++i) {
        sum[i] = job.starts ? S::zero() : S::load(job.sums + i * width);
    }
    GRAPHC_UNROLL
    for (int i = 0; i < Vectors; ++i) prefetch(job.ahead + i * width);
    const Entry* stop = job.entries + job.count;
    for (const Entry* entry = job.entries; entry < stop; ++entry) {
        const float* x = job.x + entry->offset;
        const Reg value = S::set(entry->value);
        GRAPHC_UNROLL
        for (int i = 0; i < Vectors; ++i) {
            const bool is_whole = IsWhole || i + 1 < Vectors;
            const Reg met = is_whole ? S::load(x + i * width) : S::load_first(x + i * width, last);
            sum[i] = S::multiply_add(value, met, sum[i]);
        }
    }
    float* to = job.sums;
    GRAPHC_UNROLL
    for (int i = 0; i < Vectors; ++i) S::store(to + i * width, sum[i]);
}

template <class S, int Rows, int Vectors, bool IsWhole>
void sliver(const SliverJob& job) {
    using Reg = typename S::Reg;
    constexpr int width = S::width;
    const int last = job.last;
    Reg sum[Rows][Vectors];
    GRAPHC_UNROLL
    for (int r = 0; r < Rows; ++r) {
        GRAPHC_UNROLL
        for (int i = 0; i < Vectors; ++i) sum[r][i] = S::zero();
    }
    const float* values = job.values;
    for (std::int64_t k = 0; k < job.count; ++k, values += Rows) {
        const float* x = job.x + job.offsets[k];
        Reg met[Vectors];
        GRAPHC_UNROLL
        for (int i = 0; i < Vectors; ++i) {
            const bool is_whole = IsWhole || i + 1 < Vectors;
            met[i] = is_whole ? S::load(x + i * width) : S::load_first(x + i * width, last);
        }
        GRAPHC_UNROLL
        for (int r = 0; r < Rows; ++r) {
            const Reg value = S::set(values[r]);
            GRAPHC_UNROLL
            for (int i = 0; i < Vectors; ++i) {
                sum[r][i] = S::multiply_add(value, met[i], sum[r][i]);
            }
        }
    }
    GRAPHC_UNROLL
    for (int r = 0; r < Rows; ++r) {
        GRAPHC_UNROLL
        for (int i = 0; i < Vectors; ++i) {
            S::store(job.sums + r * job.pitch + i * width, sum[r][i]);
        }
    }
}

// Some chains of sums, as each has to wait for its last product.
template <class S>
float dot(const std::int32_t* offsets, const float* values, std::int64_t count, const float* x) {
    using Reg = typename S::Reg;
    constexpr int chains = 4, step = chains * S::width;
    Reg sum[chains];
    for (int i = 0; i < chains; ++i) sum[i] = S::zero();
    std::int64_t k = 0;
    for (; k + step <= count; k += step) {
        GRAPHC_UNROLL
        for (int i = 0; i < chains; ++i) {
            const std::int64_t at = k + i * S::width;
            sum[i] = S::multiply_add(S::load(values + at), S::gather(x, offsets + at), sum[i]);
        }
    }
    for (; k + S::width <= count; k += S::width) {
        sum[0] = S::multiply_add(S::load(values + k), S::gather(x, offsets + k), sum[0]);
    }
    float lanes[S::width];
    S::store(lanes, S::add(S::add(sum[0], sum[1]), S::add(sum[2], sum[3])));
    float made = 0;
    for (int i = 0; i < S::width; ++i) made += lanes[i];
    for (; k < count; ++k) made += values[k] * x[offsets[k]];
    return made;
}

template <class S, int Rows>
void panel_rows(const PanelJob& job, std::int64_t first) {
    using Reg = typename S::Reg;
    constexpr int vectors = kPanel / S::width;
    const float* x = job.x + first * job.x_row;
    Reg sum[Rows][vectors];
    for (int n = 0; n < Rows; ++n) {
        for (int i = 0; i < vectors; ++i) sum[n][i] = S::zero();
    }
    const float* values = job.values;
    for (std::int64_t k = 0; k < job.count; ++k, values += kPanel) {
        GRAPHC_UNROLL
        for (int n = 0; n < Rows; ++n) {
            const Reg met = S::set(x[n * job.x_row + job.offsets[k]]);
            GRAPHC_UNROLL
            for (int i = 0; i < vectors; ++i) {
                sum[n][i] = S::multiply_add(met, S::load(values + i * S::width), sum[n][i]);
            }
        }
    }
    for (int n = 0; n < Rows; ++n) {
        for (int i = 0; i < vectors; ++i) {
            S::store(job.sums + (first + n) * kPanel + i * S::width, sum[n][i]);
        }
    }
}

template <class S>
void panel(const PanelJob& job) {
    constexpr int many = 2;
    std::int64_t n = 0;
    for (; n + many <= job.rows; n += many) panel_rows<S, many>(job, n);
    for (; n < job.rows; ++n) panel_rows<S, 1>(job, n);
}

template <class S>
void place(const float* sums, std::int64_t count, const TileStore& store) {
    TileStore to = store;
    for (std::int64_t i = 0; i < count; i += S::width) {
        to.last = int(count - i < S::width ? count - i : S::width);
        to.c = store.c + i;
        if (store.add) to.add = store.add + i;
        if (store.column_bias) to.column_bias = store.column_bias + i;
        finish_vector<S>(to.last == S::width ? S::load(sums + i) : S::load_first(sums + i, to.last),
                         to, 0, 0, to.last == S::width, to.row_bias);
    }
}

// Filled by templates that count down; what an Isa has no registers for stays null.
template <class S, int Vectors>
constexpr void fill_rows(Loops& made) {
    made.row[Vectors - 1] = &row<S, Vectors, true>;
    made.last_row[Vectors - 1] = &row<S, Vectors, false>;
    if constexpr (Vectors > 1) fill_rows<S, Vectors - 1>(made);
}

template <class S, int Rows, int Vectors>
constexpr void fill_slivers(Loops& made) {
    made.slivers[Rows - 1][Vectors - 1] = &sliver<S, Rows, Vectors, true>;
    made.last_slivers[Rows - 1][Vectors - 1] = &sliver<S, Rows, Vectors, false>;
    if constexpr (Vectors > 1) fill_slivers<S, Rows, Vectors - 1>(made);
    if constexpr (Rows > 1 && Vectors == kMaxSliverVectors)
        fill_slivers<S, Rows - 1, Vectors>(made);
}

// Vectors of sums, and rows of a sliver, such that registers hold them all.
template <class S, int Vectors, int Sliver>
constexpr Loops make_loops() {
    Loops made{};
    made.width = S::width;
    made.vectors = Vectors;
    made.sliver = Sliver;
    made.sliver_vectors = kMaxSliverVectors;
    fill_rows<S, Vectors>(made);
    fill_slivers<S, Sliver, kMaxSliverVectors>(made);
    made.dot = &dot<S>;
    made.panel = &panel<S>;
    made.place = &place<S>;
    return made;
}

}  // namespace graphc::sparse
