#include "kernels/simd/portable.h"

#include "kernels/spatial/loops.h"

namespace graphc::portable {

struct Lanes : Simd {
    // b where it is more than a, else a.
    static Reg larger(Reg a, Reg b) {
        return make([=](int i) { return b[i] > a[i] ? b[i] : a[i]; });
    }
    // The same, and `mark` where it is more, else what `where` held.
    static Reg larger(Reg a, Reg b, Reg mark, Reg& where) {
        where = make([=](int i) { return b[i] > a[i] ? mark[i] : where[i]; });
        return larger(a, b);
    }
    static Reg divide(Reg a, Reg b) {
        return make([=](int i) { return a[i] / b[i]; });
    }
    // Every other element of a and b in a row, from the first or second on.
    static Reg even(Reg a, Reg b) {
        return make([=](int i) { return i < 2 ? a[2 * i] : b[2 * i - 4]; });
    }
    static Reg odd(Reg a, Reg b) {
        return make([=](int i) { return i < 2 ? a[2 * i + 1] : b[2 * i - 3]; });
    }
    // Lanes low .. high - 1 come from memory, of which nothing else is touched; others are `fill`.
    struct Mask {
        int low, high;
    };
    static Mask mask(int low, int high) { return {low, high}; }
    static Reg load_where(Mask mask, const float* from, Reg fill) {
        return make([=](int i) { return i >= mask.low && i < mask.high ? from[i] : fill[i]; });
    }
};

}  // namespace graphc::portable

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
