#include "core/isa.h"

#if GRAPHC_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>

// GCC 12 warns of the deliberately undefined registers inside its own intrinsics.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

GRAPHC_TARGET_AVX512

#include "kernels/gemm_loops.h"
#include "kernels/simd/avx512.h"

namespace graphc::avx512 {
constexpr GemmLoops loops = make_loops<Simd>();
}

GRAPHC_TARGET_END

#endif
