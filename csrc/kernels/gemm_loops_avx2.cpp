#include "core/isa.h"

#if GRAPHC_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>

GRAPHC_TARGET_AVX2

#include "kernels/gemm_loops.h"
#include "kernels/simd/avx2.h"

namespace graphc::avx2 {
constexpr GemmLoops loops = make_loops<Simd>();
}

GRAPHC_TARGET_END

#endif
