#include "kernels/simd/portable.h"

#include "core/isa.h"
#include "kernels/sparse/loops.h"

namespace graphc::sparse::portable {
constexpr Loops loops = make_loops<graphc::portable::Simd, 12, 4>();
}  // namespace graphc::sparse::portable

namespace graphc::sparse {

const Loops& chosen_loops() {
#if GRAPHC_X86
    const Isa isa = chosen_isa();
    if (isa == Isa::avx512) return avx512::loops;
    if (isa == Isa::avx2) return avx2::loops;
#else
    chosen_isa();
#endif
    return portable::loops;
}

}  // namespace graphc::sparse
