#include "kernels/simd/portable.h"

#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/spatial/loops.h"

namespace graphc::portable {

namespace {

struct Lanes : Simd {
    // larger: b where it is more than a, else a; and `where` becomes `mark` where it is more.
#if defined(__GNUC__) || defined(__clang__)
    static Reg larger(Reg a, Reg b) { return b > a ? b : a; }
    static Reg larger(Reg a, Reg b, Reg mark, Reg& where) {
        where = b > a ? mark : where;
        return b > a ? b : a;
    }
    static Reg divide(Reg a, Reg b) { return a / b; }
#else
    static Reg larger(Reg a, Reg b) {
        return make([=](int i) { return b[i] > a[i] ? b[i] : a[i]; });
    }
    static Reg larger(Reg a, Reg b, Reg mark, Reg& where) {
        where = make([=](int i) { return b[i] > a[i] ? mark[i] : where[i]; });
        return larger(a, b);
    }
    static Reg divide(Reg a, Reg b) {
        return make([=](int i) { return a[i] / b[i]; });
    }
#endif
    // even, odd: every other element of a and b in a row, from the first or second on.
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
    static Reg even(Reg a, Reg b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }
    static Reg odd(Reg a, Reg b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7); }
#else
    static Reg even(Reg a, Reg b) { return {a[0], a[2], b[0], b[2]}; }
    static Reg odd(Reg a, Reg b) { return {a[1], a[3], b[1], b[3]}; }
#endif
    // load_where: lanes low .. high - 1 come from memory, of which nothing else is touched; the
    // others are `fill`.
    struct Mask {
        int low, high;
    };
    static Mask mask(int low, int high) { return {low, high}; }
    static Reg load_where(Mask mask, const float* from, Reg fill) {
        return make([=](int i) { return i >= mask.low && i < mask.high ? from[i] : fill[i]; });
    }
};

}  // namespace

}  // namespace graphc::portable

#define GRAPHC_LOOPS portable
#include "kernels/spatial/block_body.h"
#include "kernels/spatial/lrn_body.h"
#include "kernels/spatial/lrn_gradient_body.h"
#include "kernels/spatial/pool_blocked_body.h"
#include "kernels/spatial/pool_body.h"
#include "kernels/spatial/pool_gradient_body.h"
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
