// Simd with AVX2 and FMA: eight lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm_types.h"

namespace graphc::avx2 {

struct Simd {
    static constexpr int width = 8;
    static constexpr bool has_masks = false;  // of a piece, any lanes
    static constexpr int tile_rows = 6;
    static constexpr int dot_rows = 3;
    static constexpr int dot_columns = 4;

    using Reg = __m256;

    static __m256i lanes() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
    static __m256i first(int count) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes());
    }
    static __m256i between(int low, int high) {
        return _mm256_andnot_si256(first(low), first(high));
    }

    static Reg set(float value) { return _mm256_set1_ps(value); }
    static Reg zero() { return _mm256_setzero_ps(); }
    static Reg load(const float* from) { return _mm256_loadu_ps(from); }
    static void store(float* to, Reg value) { _mm256_storeu_ps(to, value); }
    static Reg load_first(const float* from, int count) {
        return _mm256_maskload_ps(from, first(count));
    }
    static void store_first(float* to, Reg value, int count) {
        _mm256_maskstore_ps(to, first(count), value);
    }
    static Reg gather(const float* from, const std::int32_t* offsets) {
        const auto* at = reinterpret_cast<const __m256i*>(offsets);
        return _mm256_i32gather_ps(from, _mm256_loadu_si256(at), 4);
    }
    static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
    static Reg multiply(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
    // The second operand of max is what comes out for NaN and for two zeros.
    static Reg rectify(Reg x) { return _mm256_max_ps(zero(), x); }
    static Reg rectify(Reg x, Reg slope) {
        const Reg keeps = _mm256_cmp_ps(x, zero(), _CMP_GT_OQ);
        return _mm256_blendv_ps(_mm256_mul_ps(x, slope), x, keeps);
    }
    // Of a square tile, a register per row.
    static void transpose(Reg* rows) {
        Reg pairs[8], fours[8];
        for (int i = 0; i < 8; i += 2) {
            pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
            pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
        }
        for (int i = 0; i < 8; i += 4) {
            for (int j = 0; j < 2; ++j) {
                fours[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0x44);
                fours[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0xee);
            }
        }
        for (int i = 0; i < 4; ++i) {
            rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
            rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
        }
    }

    template <int Step>
    static Reg put(Reg made, const float* source, const Piece& piece, std::int64_t step) {
        const float* from = source + piece.from;
        if constexpr (Step == 1) {
            if (piece.mask == 0xff) return load(from);
            return _mm256_or_ps(made, _mm256_maskload_ps(from, between(piece.low, piece.high)));
        } else if constexpr (Step == 2) {
            const int low = 2 * piece.low, high = 2 * piece.high - 1;
            const Reg a = _mm256_maskload_ps(from, between(low, high));
            const Reg b = _mm256_maskload_ps(from + 8, between(low - 8, high - 8));
            const __m256d even = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
            return _mm256_or_ps(made, _mm256_castpd_ps(_mm256_permute4x64_pd(even, 0xd8)));
        } else {
            const __m256i mask = between(piece.low, piece.high);
            const __m256i at = _mm256_mullo_epi32(lanes(), _mm256_set1_epi32(int(step)));
            return _mm256_mask_i32gather_ps(made, from, at, _mm256_castsi256_ps(mask), 4);
        }
    }
};

}  // namespace graphc::avx2
