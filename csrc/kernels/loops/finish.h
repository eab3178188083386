// Part of gemm_loops.h: where sums of products go, and what the other parts share.
#pragma once

#include "kernels/gemm_types.h"

#if defined(__GNUC__) && !defined(__clang__)
#define GRAPHC_UNROLL _Pragma("GCC unroll 16")
#elif defined(__clang__)
#define GRAPHC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GRAPHC_UNROLL
#endif

namespace graphc {

// Hints that a line will be read: soon, or by and by.
inline void prefetch(const float* from) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(from);
#else
    (void)from;
#endif
}
inline void prefetch_for_later(const float* from) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(from, 0, 2);
#else
    (void)from;
#endif
}

// Takes a vector of sums to column `at` of row i, the last if not `is_whole`. Null: no row bias.
template <class S>
inline void finish_vector(typename S::Reg value, const TileStore& to, std::int64_t i, int at,
                          bool is_whole, const float* row_bias) {
    const auto take = [&](const float* from) {
        return is_whole ? S::load(from + at) : S::load_first(from + at, to.last);
    };
    if (to.add) value = S::add(take(to.add + i * to.add_row), value);
    if (row_bias) value = S::add(value, S::set(*row_bias));
    if (to.column_bias) value = S::add(value, take(to.column_bias));
    if (to.activation == Activation::rectify) value = S::rectify(value);
    if (to.activation == Activation::leaky) value = S::rectify(value, S::set(to.slope));
    float* c = to.c + i * to.row + at;
    if (is_whole) {
        S::store(c, value);
    } else {
        S::store_first(c, value, to.last);
    }
}

// Takes `rows` rows of sums, `pitch` floats apart and `vectors` wide, to where they belong.
template <class S>
void finish(const float* sums, int pitch, int rows, int vectors, const TileStore& to) {
    for (int i = 0; i < rows; ++i, sums += pitch) {
        for (int j = 0; j < vectors; ++j) {
            const bool is_whole = j + 1 < vectors || to.last == S::width;
            finish_vector<S>(S::load(sums + j * S::width), to, i, j * S::width, is_whole,
                             to.row_bias ? to.row_bias + i : nullptr);
        }
    }
}

}  // namespace graphc
