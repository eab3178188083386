#include "kernels/simd/portable.h"

#include "kernels/winograd/loops.h"

namespace graphc::winograd::portable {
constexpr Loops loops = make_loops<graphc::portable::Simd>();
}
