#include "kernels/spatial/loops.h"

#if GRAPHC_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/gemm_types.h"

GRAPHC_TARGET_AVX512

#include "kernels/simd/avx512.h"

namespace graphc::avx512 {

namespace {

// As in portable.cpp.
struct Lanes : Simd {
    // max gives its second operand for NaN and for two zeros. (maskz, as GCC 12 warns of max_ps.)
    static Reg larger(Reg a, Reg b) { return _mm512_maskz_max_ps(0xffff, b, a); }
    static Reg larger(Reg a, Reg b, Reg mark, Reg& where) {
        where = _mm512_mask_mov_ps(where, _mm512_cmp_ps_mask(b, a, _CMP_GT_OQ), mark);
        return larger(a, b);
    }
    static Reg divide(Reg a, Reg b) { return _mm512_div_ps(a, b); }
    static Reg even(Reg a, Reg b) { return _mm512_permutex2var_ps(a, every_other(0), b); }
    static Reg odd(Reg a, Reg b) { return _mm512_permutex2var_ps(a, every_other(1), b); }
    using Mask = __mmask16;
    static Mask mask(int low, int high) { return Mask(first(high) & ~first(low)); }
    static Reg load_where(Mask mask, const float* from, Reg fill) {
        return _mm512_mask_loadu_ps(fill, mask, from);
    }

  private:
    static __m512i every_other(int start) {
        const __m512i even =
            _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        return _mm512_add_epi32(even, _mm512_set1_epi32(start));
    }
};

}  // namespace

}  // namespace graphc::avx512

#define GRAPHC_LOOPS avx512
#include "kernels/spatial/block_body.h"
#include "kernels/spatial/lrn_body.h"
#include "kernels/spatial/lrn_gradient_body.h"
#include "kernels/spatial/pool_blocked_body.h"
#include "kernels/spatial/pool_body.h"
#include "kernels/spatial/pool_gradient_body.h"
#include "kernels/spatial/table_body.h"

GRAPHC_TARGET_END

#endif
