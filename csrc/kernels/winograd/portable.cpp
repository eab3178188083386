#include "kernels/simd/portable.h"

#include "kernels/winograd/loops.h"

namespace graphc::winograd::portable {
constexpr Loops loops3 = make_loops<graphc::portable::Simd, 3>();
constexpr Loops loops5 = make_loops<graphc::portable::Simd, 5>();
}  // namespace graphc::winograd::portable
