#include "kernels/gemm_loops.h"
#include "kernels/simd/portable.h"

namespace graphc::portable {
constexpr GemmLoops loops = make_loops<Simd>();
}
