#include "core/isa.h"

#if GRAPHC_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>

GRAPHC_TARGET_AVX2

#include "kernels/simd/avx2.h"
#include "kernels/sparse/loops.h"

namespace graphc::sparse::avx2 {
constexpr Loops loops = make_loops<graphc::avx2::Simd, 14, 4>();
}  // namespace graphc::sparse::avx2

GRAPHC_TARGET_END

#endif
