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
#include "peaks/multiply_add_loop.h"

namespace graphc::avx512 {

using Loop = Chained<Simd, 12>;
const MultiplyAddLoop multiply_add_loop = {Loop::lanes, &Loop::run};

}  // namespace graphc::avx512

GRAPHC_TARGET_END

#endif
