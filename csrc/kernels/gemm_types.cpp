#include "kernels/gemm_types.h"

#include "core/isa.h"

namespace graphc {

const GemmLoops& chosen_loops() {
#if GRAPHC_X86
    switch (chosen_isa()) {
        case Isa::avx512:
            return avx512::loops;
        case Isa::avx2:
            return avx2::loops;
        case Isa::portable:
            break;
    }
#else
    chosen_isa();  // which tells whether GRAPHC_ISA is right
#endif
    return portable::loops;
}

}  // namespace graphc
