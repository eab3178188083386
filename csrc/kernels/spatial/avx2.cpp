#include "kernels/spatial/loops.h"

#if GRAPHC_X86

GRAPHC_TARGET_AVX2

#define GRAPHC_LOOPS avx2
#include "kernels/spatial/lrn_body.h"
#include "kernels/spatial/pool_body.h"
#include "kernels/spatial/table_body.h"

GRAPHC_TARGET_END

#endif
