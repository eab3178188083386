// The inner loops of sums of products, for any Simd. Included by gemm_loops_*.cpp only, after the
// instructions are switched on; nothing of the standard library may be used here.
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

// Takes `rows` rows of sums, `vectors` wide, to where they belong. Common whole tiles go by the
// short way, which matters where a sum has few products.
template <class S>
void finish(const float* sums, int rows, int vectors, const TileStore& to) {
    using Reg = typename S::Reg;
    const bool is_leaky = to.activation == Activation::leaky;
    if (vectors == 2 && to.last == S::width && !is_leaky && !to.column_bias) {
        for (int i = 0; i < rows; ++i) {
            Reg low = S::load(sums), high = S::load(sums + S::width);
            if (to.add) {
                const float* add = to.add + i * to.add_row;
                low = S::add(S::load(add), low);
                high = S::add(S::load(add + S::width), high);
            }
            if (to.row_bias) {
                const Reg bias = S::set(to.row_bias[i]);
                low = S::add(low, bias);
                high = S::add(high, bias);
            }
            if (to.activation == Activation::rectify) {
                low = S::rectify(low);
                high = S::rectify(high);
            }
            S::store(to.c + i * to.row, low);
            S::store(to.c + i * to.row + S::width, high);
            sums += 2 * S::width;
        }
        return;
    }
    const Reg slope = S::set(to.slope);
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < vectors; ++j, sums += S::width) {
            const int at = j * S::width;
            const bool is_whole = j + 1 < vectors || to.last == S::width;
            const auto take = [&](const float* from) {
                return is_whole ? S::load(from + at) : S::load_first(from + at, to.last);
            };
            Reg value = S::load(sums);
            if (to.add) value = S::add(take(to.add + i * to.add_row), value);
            if (to.row_bias) value = S::add(value, S::set(to.row_bias[i]));
            if (to.column_bias) value = S::add(value, take(to.column_bias));
            if (to.activation == Activation::rectify) value = S::rectify(value);
            if (is_leaky) value = S::rectify(value, slope);
            float* c = to.c + i * to.row + at;
            if (is_whole) {
                S::store(c, value);
            } else {
                S::store_first(c, value, to.last);
            }
        }
    }
}

template <class S, int Rows, int Vectors>
void tile(std::int64_t depth, const float* a, const float* b, const TileStore& to) {
    using Reg = typename S::Reg;
    Reg sum[Rows][Vectors];
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) sum[i][j] = S::zero();
    }
    for (std::int64_t k = 0; k < depth; ++k) {
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
        b += Vectors * S::width;
    }
    alignas(64) float sums[Rows * Vectors * S::width];
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) S::store(sums + (i * Vectors + j) * S::width, sum[i][j]);
    }
    finish<S>(sums, Rows, Vectors, to);
}

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

// Channels lie too far apart for the hardware to guess where reading goes on.
constexpr int kAhead = 4;

inline void prefetch(const float* from) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(from);
#else
    (void)from;
#endif
}

template <class S, int Step, int Pieces>
void lay_rows(const LayJob& job, const float* source, int vectors, float* to, std::int64_t row) {
    const int pieces = Pieces ? Pieces : job.pieces_per_tap;
    const std::int64_t per_vector = std::int64_t(job.table_taps) * pieces;
    std::int64_t tap = job.k0 % job.taps;
    source += job.k0 / job.taps * job.channel_step;
    for (std::int64_t k = job.k0; k < job.k1; ++k) {
        const Piece* table = job.pieces + (tap - job.first_tap) * pieces;
        for (int v = 0; v < vectors; ++v) {
            typename S::Reg made = S::zero();
            for (int q = 0; q < pieces; ++q) {
                if (!Pieces && table[q].mask == 0) break;
                made = S::template put<Step>(made, source, table[q], job.step);
                prefetch(source + kAhead * job.channel_step + table[q].from);
            }
            S::store(to + v * S::width, made);
            table += per_vector;
        }
        to += row;
        if (++tap == job.taps) {
            tap = 0;
            source += job.channel_step;
        }
    }
}

template <class S, int Step>
void lay_stepped(const LayJob& job, const float* source, int vectors, float* to, std::int64_t row) {
    switch (job.pieces_per_tap) {
        case 1:
            return lay_rows<S, Step, 1>(job, source, vectors, to, row);
        case 2:
            return lay_rows<S, Step, 2>(job, source, vectors, to, row);
        default:
            return lay_rows<S, Step, 0>(job, source, vectors, to, row);
    }
}

template <class S>
void lay(const LayJob& job, const float* source, int vectors, float* to, std::int64_t row) {
    if (job.step == 1) return lay_stepped<S, 1>(job, source, vectors, to, row);
    if (job.step == 2) return lay_stepped<S, 2>(job, source, vectors, to, row);
    if (job.step == 4) return lay_stepped<S, 4>(job, source, vectors, to, row);
    lay_stepped<S, 0>(job, source, vectors, to, row);
}

// Vectors lie side by side, or one below the other.
template <class S, int Vectors, bool Down>
void slide_vectors(const SlideJob& job, const float* source, int last, const TileStore& to) {
    const std::int64_t step = Down ? job.row : S::width;
    typename S::Reg sum[Vectors];
    GRAPHC_UNROLL
    for (int j = 0; j < Vectors; ++j) sum[j] = S::zero();
    for (std::int64_t t = 0; t < job.taps; ++t) {
        const typename S::Reg weight = S::set(job.weights[t]);
        const float* from = source + job.offsets[t];
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) {
            sum[j] = S::multiply_add(weight, S::load(from + j * step), sum[j]);
        }
    }
    alignas(64) float sums[Vectors * S::width];
    GRAPHC_UNROLL
    for (int j = 0; j < Vectors; ++j) S::store(sums + j * S::width, sum[j]);
    TileStore here = to;
    here.last = last;
    const float bias[4] = {to.row_bias ? *to.row_bias : 0, to.row_bias ? *to.row_bias : 0,
                           to.row_bias ? *to.row_bias : 0, to.row_bias ? *to.row_bias : 0};
    if (to.row_bias) here.row_bias = bias;
    finish<S>(sums, Down ? Vectors : 1, Down ? 1 : Vectors, here);
}

template <class S>
void slide(const SlideJob& job, const TileStore& to) {
    constexpr int many = 4, width = S::width;
    TileStore here = to;
    const auto shift = [&](std::int64_t i, std::int64_t j) {
        here.c = to.c + i * to.row + j;
        if (to.add) here.add = to.add + i * to.add_row + j;
        return job.source + i * job.row + j;
    };
    const std::int64_t whole = job.columns / width / many * many * width;
    for (std::int64_t i = 0; i < job.rows; ++i) {
        for (std::int64_t j = 0; j < whole; j += many * width) {
            slide_vectors<S, many, false>(job, shift(i, j), width, here);
        }
    }
    for (std::int64_t j = whole; j < job.columns; j += width) {
        const std::int64_t left = job.columns - j;
        const int last = left < width ? int(left) : width;
        std::int64_t i = 0;
        for (; i + many <= job.rows; i += many) {
            slide_vectors<S, many, true>(job, shift(i, j), last, here);
        }
        for (; i < job.rows; ++i) slide_vectors<S, 1, true>(job, shift(i, j), last, here);
    }
}

// Rows of a square tile; `count` of them are read.
template <class S>
void load_turned(const float* from, std::int64_t row, int count, typename S::Reg* rows) {
    for (int i = 0; i < S::width; ++i) rows[i] = i < count ? S::load(from + i * row) : S::zero();
    S::transpose(rows);
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

template <class S>
void turn(const float* tile, std::int64_t row, int columns, int outputs, const TileStore& to) {
    typename S::Reg rows[S::width];
    load_turned<S>(tile, row, columns, rows);
    alignas(64) float sums[S::width * S::width];
    for (int i = 0; i < S::width; ++i) S::store(sums + i * S::width, rows[i]);
    TileStore here = to;
    here.last = columns;
    finish<S>(sums, outputs, 1, here);
}

// The tables are filled by templates that count down; what an Isa has no registers for stays null.
template <class S, int Rows>
constexpr void fill_tiles(GemmLoops& made) {
    made.tile[Rows - 1][0] = &tile<S, Rows, 1>;
    made.tile[Rows - 1][1] = &tile<S, Rows, 2>;
    if constexpr (Rows > 1) fill_tiles<S, Rows - 1>(made);
}

template <class S, int Rows, int Columns>
constexpr void fill_dots(GemmLoops& made) {
    made.dot[Rows - 1][Columns - 1] = &dot<S, Rows, Columns>;
    if constexpr (Columns > 1) {
        fill_dots<S, Rows, Columns - 1>(made);
    } else if constexpr (Rows > 1) {
        fill_dots<S, Rows - 1, S::dot_columns>(made);
    }
}

template <class S>
constexpr GemmLoops make_loops() {
    GemmLoops made{};
    made.width = S::width;
    made.tile_rows = S::tile_rows;
    made.dot_rows = S::dot_rows;
    made.dot_columns = S::dot_columns;
    made.lay = &lay<S>;
    made.slide = &slide<S>;
    made.sum_lanes = &sum_lanes<S>;
    made.turn = &turn<S>;
    fill_tiles<S, S::tile_rows>(made);
    fill_dots<S, S::dot_rows, S::dot_columns>(made);
    return made;
}

}  // namespace graphc
