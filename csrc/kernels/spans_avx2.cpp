#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/spans.h"

#if GRAPHC_X86

GRAPHC_TARGET_AVX2

namespace graphc::avx2 {

namespace {
#include "kernels/spans_body.h"
}

const Spans kSpans = make_spans();

}  // namespace graphc::avx2

GRAPHC_TARGET_END

#endif
