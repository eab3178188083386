// Spans: loops over runs of floats, the working parts of the pointwise and normalising kernels.
// One source (spans_body.h) compiled for several instruction sets; the machine's best is chosen at
// run time. None fuses a multiply with an add, and sums run in sixteen fixed lanes, so all of them
// give the same bits.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "rng/philox.h"
#include "rng/stream.h"

namespace graphc {

// Operations of expr programs by number; graphc/ops/_program.py holds the same table.
// min is b < a ? b : a, max likewise; mul_add is a * b + c, rounded twice; the relations give
// a < b ? c : d; normalize is (a - b - c) * d.
enum class Opcode : std::uint8_t {
    copy,
    neg,
    abs,
    sqrt,
    exp,
    expm1,
    log,
    log1p,
    tanh,
    add,
    sub,
    mul,
    div,
    pow,
    min,
    max,
    mul_add,
    less,
    less_equal,
    equal,
    normalize,
};
// In this order: how many of them take one source, two, three, four.
constexpr int kUnary = 9, kBinary = 7, kTernary = 1, kQuaternary = 4;
constexpr int kOpcodes = kUnary + kBinary + kTernary + kQuaternary;

constexpr int source_count(int opcode) {
    if (opcode < kUnary) return 1;
    if (opcode < kUnary + kBinary) return 2;
    return opcode < kUnary + kBinary + kTernary ? 3 : 4;
}

struct Spans {
    // `out` may be any of the sources, but must not overlap one otherwise.
    using Unary = void (*)(float* out, const float* a, std::int64_t n);
    using Binary = void (*)(float* out, const float* a, const float* b, std::int64_t n);
    using Ternary = void (*)(float* out, const float* a, const float* b, const float* c,
                             std::int64_t n);
    using Quaternary = void (*)(float* out, const float* a, const float* b, const float* c,
                                const float* d, std::int64_t n);
    using Sum = double (*)(const float* a, std::int64_t n);

    Unary unary[kUnary];
    Binary binary[kBinary];
    Ternary ternary[kTernary];
    Quaternary quaternary[kQuaternary];

    Sum sum, sum_abs, sum_squares;
    // Sums of x - shift and of (x - shift)^2.
    void (*moments)(const float* a, std::int64_t n, double shift, double* sums);
    // The largest element, -inf if there is none; NaN does not count.
    float (*max)(const float* a, std::int64_t n);
    // As the opcode, with one b, c and d for all.
    void (*normalize)(float* out, const float* a, std::int64_t n, float b, float c, float d);
    // out = exp(a - shift); returns the sum of out.
    double (*exp_sum)(float* out, const float* a, std::int64_t n, float shift);
    void (*add_to)(double* sums, const float* a, std::int64_t n);
    // sums[i % 16] += a[i].
    void (*add_lanes)(double* sums, const float* a, std::int64_t n);
    // sums[i % 16] += a[i], products[i % 16] += a[i] * b[i].
    void (*add_lane_products)(double* sums, double* products, const float* a, const float* b,
                              std::int64_t n);
    // sums[i] += a[i], products[i] += a[i] * b[i].
    void (*add_products)(double* sums, double* products, const float* a, const float* b,
                         std::int64_t n);
    // Element by element: first += a - shift, second += (a - shift)^2.
    void (*add_moments)(double* first, double* second, const float* a, const float* shift,
                        std::int64_t n);
    // The same with first, second and shift at i % 16.
    void (*add_lane_moments)(double* first, double* second, const float* a, const float* shift,
                             std::int64_t n);
    // out[i] = ((a[i] - b - c) - d * x[i]) * e, with b to e at i % 16, or at i.
    void (*lane_slopes)(float* out, const float* a, const float* x, std::int64_t n, const float* b,
                        const float* c, const float* d, const float* e);
    void (*slopes)(float* out, const float* a, const float* x, std::int64_t n, const float* b,
                   const float* c, const float* d, const float* e);
    // Elements 4 * block .. 4 * (block + count) - 1 of a random stream (rng/stream.h).
    void (*draw)(float* out, const rng::Stream& stream, std::uint32_t block, std::int64_t count);
    // How many elements are at least `bound`.
    std::int64_t (*count_at_least)(const float* a, std::int64_t n, float bound);

    Unary unary_of(Opcode op) const { return unary[int(op)]; }
    Binary binary_of(Opcode op) const { return binary[int(op) - kUnary]; }
    Quaternary quaternary_of(Opcode op) const {
        return quaternary[int(op) - kUnary - kBinary - kTernary];
    }
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
