// Half and Bfloat16: numbers of two bytes in memory. Kernels compute with floats; they read an
// item as float(item) and write Item(number), rounded to the nearest, ties to even.
#pragma once

#include "device.h"

namespace graphc {

GRAPHC_DEVICE unsigned bits_of(float number) {
#if defined(__CUDACC__)
    return __float_as_uint(number);
#else
    unsigned bits;
    __builtin_memcpy(&bits, &number, sizeof bits);
    return bits;
#endif
}

GRAPHC_DEVICE float float_of(unsigned bits) {
#if defined(__CUDACC__)
    return __uint_as_float(bits);
#else
    float number;
    __builtin_memcpy(&number, &bits, sizeof number);
    return number;
#endif
}

// The upper half of a float.
struct Bfloat16 {
    unsigned short bits;

    Bfloat16() = default;
    GRAPHC_DEVICE explicit Bfloat16(float number) {
        const unsigned all = bits_of(number);
        const bool is_nan = (all & 0x7FFFFFFFu) > 0x7F800000u;
        const unsigned rounded = all + 0x7FFFu + (all >> 16 & 1);
        bits = static_cast<unsigned short>(is_nan ? 0x7FFFu : rounded >> 16);
    }
    GRAPHC_DEVICE explicit operator float() const { return float_of(unsigned(bits) << 16); }
};

// IEEE 754 binary16.
struct Half {
    unsigned short bits;

    Half() = default;
#if defined(__CUDACC__)
    GRAPHC_DEVICE explicit Half(float number) {
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(number));
    }
    GRAPHC_DEVICE explicit operator float() const {
        float number;
        asm("cvt.f32.f16 %0, %1;" : "=f"(number) : "h"(bits));
        return number;
    }
#else
    explicit Half(float number) {
        const unsigned all = bits_of(number), sign = all >> 16 & 0x8000u, size = all & 0x7FFFFFFFu;
        unsigned found;
        if (size > 0x7F800000u) {
            found = 0x7FFFu;  // NaN
        } else if (size >= 0x477FF000u) {
            found = 0x7C00u;  // 65520 and more round to infinity
        } else if (size < 0x38800000u) {
            // below 2^-14, the smallest normal one: the sum's last place is worth 2^-24
            found = bits_of(float_of(size) + 0.5F) - 0x3F000000u;
        } else {
            const unsigned narrow = size - 0x38000000u;  // the exponent counted from half's bias
            found = (narrow + 0xFFFu + (narrow >> 13 & 1)) >> 13;
        }
        bits = static_cast<unsigned short>(sign | found);
    }
    explicit operator float() const {
        const unsigned sign = (bits & 0x8000u) << 16, size = bits & 0x7FFFu;
        if (size >= 0x7C00u) return float_of(sign | 0x7F800000u | (size & 0x3FFu) << 13);
        const float scaled = float_of(size << 13) * 0x1p112F;  // exact, for subnormal ones too
        return float_of(sign | bits_of(scaled));
    }
#endif
};

}  // namespace graphc
