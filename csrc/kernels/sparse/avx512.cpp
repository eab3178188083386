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

#include "kernels/simd/avx512.h"
#include "kernels/sparse/loops.h"

namespace graphc::sparse::avx512 {
constexpr Loops loops = make_loops<graphc::avx512::Simd, 28, 8>();
}  // namespace graphc::sparse::avx512

GRAPHC_TARGET_END

#endif
