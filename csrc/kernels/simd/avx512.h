// Simd with AVX-512 (F, VL, DQ, BW): sixteen lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm_types.h"

namespace graphc::avx512 {

struct Simd {
    static constexpr int width = 16;
    static constexpr bool has_masks = true;  // of a piece, any lanes
    static constexpr int tile_rows = 14;
    static constexpr int dot_rows = 4;
    static constexpr int dot_columns = 6;

    using Reg = __m512;

    static __mmask16 first(int count) { return __mmask16((1u << count) - 1); }

    static Reg set(float value) { return _mm512_set1_ps(value); }
    static Reg zero() { return _mm512_setzero_ps(); }
    static Reg load(const float* from) { return _mm512_loadu_ps(from); }
    static void store(float* to, Reg value) { _mm512_storeu_ps(to, value); }
    static Reg load_first(const float* from, int count) {
        return _mm512_maskz_loadu_ps(first(count), from);
    }
    static void store_first(float* to, Reg value, int count) {
        _mm512_mask_storeu_ps(to, first(count), value);
    }
    static Reg gather(const float* from, const std::int32_t* offsets) {
        return _mm512_i32gather_ps(_mm512_loadu_si512(offsets), from, 4);
    }
    static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
    static Reg multiply(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
    // The second operand of max is what comes out for NaN and for two zeros.
    static Reg rectify(Reg x) { return _mm512_max_ps(zero(), x); }
    static Reg rectify(Reg x, Reg slope) {
        const __mmask16 keeps = _mm512_cmp_ps_mask(x, zero(), _CMP_GT_OQ);
        return _mm512_mask_mov_ps(_mm512_mul_ps(x, slope), keeps, x);
    }
    // Of a square tile, a register per row.
    static void transpose(Reg* rows) {
        Reg pairs[16], fours[16], eights[16];
        for (int i = 0; i < 16; i += 2) {
            pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
            pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
        }
        for (int i = 0; i < 16; i += 4) {
            for (int j = 0; j < 2; ++j) {
                fours[i + 2 * j] = _mm512_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0x44);
                fours[i + 2 * j + 1] = _mm512_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0xee);
            }
        }
        for (int i = 0; i < 4; ++i) {
            for (int j = 0; j < 16; j += 8) {
                eights[j + i] = _mm512_shuffle_f32x4(fours[j + i], fours[j + i + 4], 0x88);
                eights[j + i + 4] = _mm512_shuffle_f32x4(fours[j + i], fours[j + i + 4], 0xdd);
            }
        }
        for (int i = 0; i < 8; ++i) {
            rows[i] = _mm512_shuffle_f32x4(eights[i], eights[i + 8], 0x88);
            rows[i + 8] = _mm512_shuffle_f32x4(eights[i], eights[i + 8], 0xdd);
        }
    }

    template <int Step>
    static Reg put(Reg made, const float* source, const Piece& piece, std::int64_t step) {
        const float* from = source + piece.from;
        const __mmask16 mask = piece.mask;
        if constexpr (Step == 1) {
            return _mm512_mask_loadu_ps(made, mask, from);
        } else if constexpr (Step == 2) {
            const std::uint32_t bits = _pdep_u32(mask, 0x55555555u);
            const __m512i even =
                _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            const Reg low = _mm512_maskz_loadu_ps(__mmask16(bits), from);
            const Reg high = _mm512_maskz_loadu_ps(__mmask16(bits >> 16), from + 16);
            return _mm512_mask_mov_ps(made, mask, _mm512_permutex2var_ps(low, even, high));
        } else if constexpr (Step == 4) {
            const std::uint64_t bits = _pdep_u64(mask, 0x1111111111111111u);
            const __m512i fourth =
                _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
            Reg quarter[4];
            for (int i = 0; i < 4; ++i) {
                quarter[i] = _mm512_maskz_loadu_ps(__mmask16(bits >> 16 * i), from + 16 * i);
            }
            const Reg low = _mm512_permutex2var_ps(quarter[0], fourth, quarter[1]);
            const Reg high = _mm512_permutex2var_ps(quarter[2], fourth, quarter[3]);
            return _mm512_mask_mov_ps(made, mask, _mm512_mask_mov_ps(low, 0xff00, high));
        } else {
            const __m512i lanes =
                _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            const __m512i at = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(int(step)));
            return _mm512_mask_i32gather_ps(made, mask, at, from, 4);
        }
    }
};

}  // namespace graphc::avx512
