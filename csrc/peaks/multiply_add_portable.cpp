#include "kernels/simd/portable.h"
#include "peaks/multiply_add_loop.h"

namespace graphc::portable {

using Loop = Chained<Simd, 12>;
const MultiplyAddLoop multiply_add_loop = {Loop::lanes, &Loop::run};

}  // namespace graphc::portable
