#include "kernels/spatial/loops.h"

#define GRAPHC_LOOPS portable
#include "kernels/spatial/lrn_body.h"
#include "kernels/spatial/pool_body.h"
#include "kernels/spatial/table_body.h"

namespace graphc {

const SpatialLoops& spatial_loops(Isa isa) {
#if GRAPHC_X86
    if (isa == Isa::avx512) return avx512::spatial_loops;
    if (isa == Isa::avx2) return avx2::spatial_loops;
#endif
    static_cast<void>(isa);
    return portable::spatial_loops;
}

}  // namespace graphc
