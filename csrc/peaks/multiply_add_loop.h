// The loop for any Simd. Included by multiply_add_*.cpp only, after the instructions are switched
// on; nothing of the standard library may be used here.
#pragma once

#include "peaks/multiply_add.h"

#if defined(__clang__)
#define GRAPHC_UNROLL_CHAINS _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GRAPHC_UNROLL_CHAINS _Pragma("GCC unroll 16")
#else
#define GRAPHC_UNROLL_CHAINS
#endif

namespace graphc {

// Chains must outnumber latency times issue width, at most 5 x 2 on the CPUs there are, and fit the
// registers. First values come from memory: were they known to be alike, one chain would do.
template <class S, int Chains>
struct Chained {
    static constexpr int lanes = Chains * S::width;

    static void run(float* values, float factor, float addend, std::int64_t steps) {
        typename S::Reg x[Chains];
        const typename S::Reg by = S::set(factor), plus = S::set(addend);
        GRAPHC_UNROLL_CHAINS
        for (int i = 0; i < Chains; ++i) x[i] = S::load(values + i * S::width);
        for (std::int64_t k = 0; k < steps; ++k) {
            GRAPHC_UNROLL_CHAINS
            for (int i = 0; i < Chains; ++i) x[i] = S::multiply_add(x[i], by, plus);
        }
        GRAPHC_UNROLL_CHAINS
        for (int i = 0; i < Chains; ++i) S::store(values + i * S::width, x[i]);
    }
};

}  // namespace graphc
