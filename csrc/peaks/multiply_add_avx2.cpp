#include "core/isa.h"

#if GRAPHC_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>

GRAPHC_TARGET_AVX2

#include "kernels/simd/avx2.h"
#include "peaks/multiply_add_loop.h"

namespace graphc::avx2 {

using Loop = Chained<Simd, 12>;
const MultiplyAddLoop multiply_add_loop = {Loop::lanes, &Loop::run};

}  // namespace graphc::avx2

GRAPHC_TARGET_END

#endif
