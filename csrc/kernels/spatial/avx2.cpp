#include "kernels/spatial/loops.h"

#if GRAPHC_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/gemm_types.h"

GRAPHC_TARGET_AVX2

#include "kernels/simd/avx2.h"

namespace graphc::avx2 {

namespace {

// As in portable.cpp.
struct Lanes : Simd {
    // max gives its second operand for NaN and for two zeros.
    static Reg larger(Reg a, Reg b) { return _mm256_max_ps(b, a); }
    static Reg larger(Reg a, Reg b, Reg mark, Reg& where) {
        where = _mm256_blendv_ps(where, mark, _mm256_cmp_ps(b, a, _CMP_GT_OQ));
        return larger(a, b);
    }
    static Reg divide(Reg a, Reg b) { return _mm256_div_ps(a, b); }
    static Reg even(Reg a, Reg b) { return in_order(_mm256_shuffle_ps(a, b, 0x88)); }
    static Reg odd(Reg a, Reg b) { return in_order(_mm256_shuffle_ps(a, b, 0xdd)); }
    using Mask = __m256i;
    static Mask mask(int low, int high) { return between(low, high); }
    static Reg load_where(Mask mask, const float* from, Reg fill) {
        return _mm256_blendv_ps(fill, _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask));
    }

  private:
    // Shuffles work in halves: a, b, a, b becomes a, a, b, b.
    static Reg in_order(Reg x) {
        return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
    }
};

}  // namespace

}  // namespace graphc::avx2

#define GRAPHC_LOOPS avx2
#include "kernels/spatial/block_body.h"
#include "kernels/spatial/lrn_body.h"
#include "kernels/spatial/lrn_gradient_body.h"
#include "kernels/spatial/pool_blocked_body.h"
#include "kernels/spatial/pool_body.h"
#include "kernels/spatial/pool_gradient_body.h"
#include "kernels/spatial/table_body.h"

GRAPHC_TARGET_END

#endif
