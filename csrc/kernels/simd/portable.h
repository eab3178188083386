// Simd without instructions of any CPU in particular: four lanes, which compilers map to SSE2 or
// NEON. The other files of this folder have the same functions.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/gemm_types.h"

namespace graphc::portable {

struct Simd {
    static constexpr int width = 4;
    static constexpr bool has_masks = false;  // of a piece, any lanes
    // Rows of a tile of two vectors, and left and right rows of a block of dot products, such that
    // all sums stay in registers.
#if defined(__aarch64__)
    static constexpr int tile_rows = 8, dot_rows = 4, dot_columns = 6;
#else
    static constexpr int tile_rows = 4, dot_rows = 2, dot_columns = 4;
#endif

#if defined(__GNUC__) || defined(__clang__)
    using Reg = float __attribute__((vector_size(16)));
#else
    struct Reg {
        float lane[4];
        float& operator[](int i) { return lane[i]; }
        float operator[](int i) const { return lane[i]; }
    };
#endif

    template <class F>
    static Reg make(F lane) {
        Reg made;
        for (int i = 0; i < width; ++i) made[i] = lane(i);
        return made;
    }
    static Reg set(float value) {
        return make([=](int) { return value; });
    }
    static Reg zero() { return set(0); }
    static Reg load(const float* from) {
        Reg made;
        std::memcpy(&made, from, sizeof made);
        return made;
    }
    static void store(float* to, Reg value) { std::memcpy(to, &value, sizeof value); }
    static Reg load_first(const float* from, int count) {
        return make([=](int i) { return i < count ? from[i] : 0.0f; });
    }
    static void store_first(float* to, Reg value, int count) {
        for (int i = 0; i < count; ++i) to[i] = value[i];
    }
    static Reg gather(const float* from, const std::int32_t* offsets) {
        return make([=](int i) { return from[offsets[i]]; });
    }
#if defined(__GNUC__) || defined(__clang__)
    static Reg add(Reg a, Reg b) { return a + b; }
    static Reg multiply(Reg a, Reg b) { return a * b; }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return a * b + c; }
#else
    static Reg add(Reg a, Reg b) {
        return make([=](int i) { return a[i] + b[i]; });
    }
    static Reg multiply(Reg a, Reg b) {
        return make([=](int i) { return a[i] * b[i]; });
    }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return add(multiply(a, b), c); }
#endif
    static Reg rectify(Reg x) {
        return make([=](int i) { return x[i] < 0 ? 0.0f : x[i]; });
    }
    static Reg rectify(Reg x, Reg slope) {
        return make([=](int i) { return x[i] > 0 ? x[i] : slope[i] * x[i]; });
    }
    // Of a square tile, a register per row.
    static void transpose(Reg* rows) {
        for (int i = 0; i < width; ++i) {
            for (int j = 0; j < i; ++j) {
                const float above = rows[j][i];
                rows[j][i] = rows[i][j];
                rows[i][j] = above;
            }
        }
    }

    // `made` with the lanes of one piece put in.
    template <int Step>
    static Reg put(Reg made, const float* source, const Piece& piece, std::int64_t step) {
        const float* from = source + piece.from;
        if (Step == 1 && piece.mask == 0xf) return load(from);
        for (int i = piece.low; i < piece.high; ++i) made[i] = from[i * (Step ? Step : step)];
        return made;
    }
};

}  // namespace graphc::portable
