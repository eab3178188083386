#include "kernels/spans.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace graphc {

namespace portable {

namespace {
#include "kernels/spans_body.h"
}

const Spans kSpans = make_spans();

}  // namespace portable

const Spans& spans(Isa isa) {
#if GRAPHC_X86
    if (isa == Isa::avx512) return avx512::kSpans;
    if (isa == Isa::avx2) return avx2::kSpans;
#endif
    (void)isa;
    return portable::kSpans;
}

}  // namespace graphc
