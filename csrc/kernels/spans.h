// Spans: loops over runs of floats, the working parts of the pointwise and normalising kernels.
// One source (spans_body.h) compiled for several instruction sets; the machine's best is chosen at
// run time. None fuses a multiply with an add, and sums run in sixteen fixed lanes, so all of them
// give the same bits.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace graphc {

// Operations of expr programs by number; graphc/ops/_program.py holds the same table.
enum class Opcode : std::uint8_t {
    copy,
    neg,
    abs,
    sqrt,
    exp,
    expm1,
    log,
    log1p,
    tanh,  // one source
    add,
    sub,
    mul,
    div,
    pow,
    min,
    max,  // two: min is b < a ? b : a
    less,
    less_equal,
    equal,  // four: a < b ? c : d
};
constexpr int kUnary = 9, kBinary = 7, kSelect = 3;
constexpr int kOpcodes = kUnary + kBinary + kSelect;

constexpr int source_count(int opcode) {
    return opcode < kUnary ? 1 : opcode < kUnary + kBinary ? 2 : 4;
}

struct Spans {
    // `out` may be any of the sources, but must not overlap one otherwise.
    using Unary = void (*)(float* out, const float* a, std::int64_t n);
    using Binary = void (*)(float* out, const float* a, const float* b, std::int64_t n);
    using Select = void (*)(float* out, const float* a, const float* b, const float* yes,
                            const float* no, std::int64_t n);
    using Sum = double (*)(const float* a, std::int64_t n);

    Unary unary[kUnary];
    Binary binary[kBinary];
    Select select[kSelect];

    Sum sum, sum_abs, sum_squares;
    // Sums of x - shift and of (x - shift)^2.
    void (*moments)(const float* a, std::int64_t n, double shift, double* sums);
    // The largest element, -inf if there is none; NaN does not count.
    float (*max)(const float* a, std::int64_t n);
    // out = (a - high - low) * factor.
    void (*shift_scale)(float* out, const float* a, std::int64_t n, float high, float low,
                        float factor);
    // out = exp(a - shift); returns the sum of out.
    double (*exp_sum)(float* out, const float* a, std::int64_t n, float shift);
    void (*add_to)(double* sums, const float* a, std::int64_t n);
    // How many elements are at least `bound`.
    std::int64_t (*count_at_least)(const float* a, std::int64_t n, float bound);

    Unary unary_of(Opcode op) const { return unary[int(op)]; }
    Binary binary_of(Opcode op) const { return binary[int(op) - kUnary]; }
};

// The loops for an instruction set (for `portable` where this build has no others). Kernels ask
// once, when they are made.
const Spans& spans(Isa isa = chosen_isa());

namespace portable {
extern const Spans kSpans;
}
namespace avx2 {
extern const Spans kSpans;
}
namespace avx512 {
extern const Spans kSpans;
}

}  // namespace graphc
