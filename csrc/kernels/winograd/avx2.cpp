#include "core/isa.h"

#if GRAPHC_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>

GRAPHC_TARGET_AVX2

#include "kernels/simd/avx2.h"
#include "kernels/winograd/loops.h"

namespace graphc::winograd::avx2 {
constexpr Loops loops3 = make_loops<graphc::avx2::Simd, 3>();
constexpr Loops loops5 = make_loops<graphc::avx2::Simd, 5>();
}  // namespace graphc::winograd::avx2

GRAPHC_TARGET_END

#endif
