// The loops of spans.h. Included once per instruction set, between the pragmas that choose it and
// inside an anonymous namespace, so that no two sets share a function. `omp simd` because `out` may
// be a source: same element, so no harm.

#include "kernels/span_math.h"

using Index = std::int64_t;

#define GRAPHC_UNARY(name, value)                           \
    void name(float* out, const float* a, Index n) {        \
        _Pragma("omp simd") for (Index i = 0; i < n; ++i) { \
            const float x = a[i];                           \
            out[i] = value;                                 \
        }                                                   \
    }

#define GRAPHC_BINARY(name, value)                                   \
    void name(float* out, const float* a, const float* b, Index n) { \
        _Pragma("omp simd") for (Index i = 0; i < n; ++i) {          \
            const float x = a[i], y = b[i];                          \
            out[i] = value;                                          \
        }                                                            \
    }

#define GRAPHC_SELECT(name, relation)                                                        \
    void name(float* out, const float* a, const float* b, const float* yes, const float* no, \
              Index n) {                                                                     \
        _Pragma("omp simd") for (Index i = 0; i < n; ++i) {                                  \
            const float c = yes[i], d = no[i];                                               \
            out[i] = a[i] relation b[i] ? c : d;                                             \
        }                                                                                    \
    }

void span_copy(float* out, const float* a, Index n) {
    if (out != a) std::memmove(out, a, std::size_t(n) * sizeof(float));
}
GRAPHC_UNARY(span_neg, -x)
GRAPHC_UNARY(span_abs, magnitude(x))
GRAPHC_UNARY(span_sqrt, std::sqrt(x))
GRAPHC_UNARY(span_exp, exp_of(x))
GRAPHC_UNARY(span_expm1, expm1_of(x))
GRAPHC_UNARY(span_log, log_of(x))
GRAPHC_UNARY(span_log1p, log1p_of(x))
GRAPHC_UNARY(span_tanh, tanh_of(x))
GRAPHC_BINARY(span_add, x + y)
GRAPHC_BINARY(span_sub, x - y)
GRAPHC_BINARY(span_mul, x* y)
GRAPHC_BINARY(span_div, x / y)
GRAPHC_BINARY(span_min, y < x ? y : x)
GRAPHC_BINARY(span_max, x < y ? y : x)
GRAPHC_SELECT(span_less, <)
GRAPHC_SELECT(span_less_equal, <=)
GRAPHC_SELECT(span_equal, ==)

void span_mul_add(float* out, const float* a, const float* b, const float* c, Index n) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) out[i] = a[i] * b[i] + c[i];
}

void span_normalize_by(float* out, const float* a, const float* b, const float* c, const float* d,
                       Index n) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) out[i] = ((a[i] - b[i]) - c[i]) * d[i];
}

void span_pow(float* out, const float* a, const float* b, Index n) {
    for (Index i = 0; i < n; ++i) out[i] = std::pow(a[i], b[i]);
}

#undef GRAPHC_UNARY
#undef GRAPHC_BINARY
#undef GRAPHC_SELECT

constexpr int kLanes = 16;

// Sum over i of term(i) in kLanes interleaved partial sums.
template <class Real, class Term>
inline double lane_sum(Index n, const Term& term) {
    Real lanes[kLanes] = {};
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        _Pragma("omp simd") for (int k = 0; k < kLanes; ++k) lanes[k] += term(i + k);
    }
    for (int k = 0; i < n; ++i, ++k) lanes[k] += term(i);
    double total = 0;
    for (int k = 0; k < kLanes; ++k) total += double(lanes[k]);
    return total;
}

double span_sum(const float* a, Index n) {
    return lane_sum<double>(n, [a](Index i) { return double(a[i]); });
}

double span_sum_abs(const float* a, Index n) {
    return lane_sum<double>(n, [a](Index i) { return double(magnitude(a[i])); });
}

double span_sum_squares(const float* a, Index n) {
    return lane_sum<double>(n, [a](Index i) { return double(a[i]) * double(a[i]); });
}

void span_moments(const float* a, Index n, double shift, double* sums) {
    double first[kLanes] = {}, second[kLanes] = {};
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        _Pragma("omp simd") for (int k = 0; k < kLanes; ++k) {
            const double d = double(a[i + k]) - shift;
            first[k] += d;
            second[k] += d * d;
        }
    }
    for (int k = 0; i < n; ++i, ++k) {
        const double d = double(a[i]) - shift;
        first[k] += d;
        second[k] += d * d;
    }
    sums[0] = sums[1] = 0;
    for (int k = 0; k < kLanes; ++k) {
        sums[0] += first[k];
        sums[1] += second[k];
    }
}

float span_greatest(const float* a, Index n) {
    float lanes[kLanes];
    for (float& lane : lanes) lane = -kInf;
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        _Pragma("omp simd") for (int k = 0; k < kLanes; ++k) {
            lanes[k] = a[i + k] > lanes[k] ? a[i + k] : lanes[k];
        }
    }
    for (int k = 0; i < n; ++i, ++k) lanes[k] = a[i] > lanes[k] ? a[i] : lanes[k];
    for (int k = 1; k < kLanes; ++k) lanes[0] = lanes[k] > lanes[0] ? lanes[k] : lanes[0];
    return lanes[0];
}

void span_normalize(float* out, const float* a, Index n, float b, float c, float d) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) out[i] = ((a[i] - b) - c) * d;
}

double span_exp_sum(float* out, const float* a, Index n, float shift) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) out[i] = exp_of(a[i] - shift);
    double total = 0;
    for (Index start = 0; start < n; start += 512) {  // short enough for sums in float
        const float* const part = out + start;
        const Index left = n - start < 512 ? n - start : 512;
        total += lane_sum<float>(left, [part](Index i) { return part[i]; });
    }
    return total;
}

void span_add_to(double* sums, const float* a, Index n) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) sums[i] += double(a[i]);
}

void span_add_moments(double* first, double* second, const float* a, const float* shift, Index n) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) {
        const double d = double(a[i]) - double(shift[i]);
        first[i] += d;
        second[i] += d * d;
    }
}

// Calls step(lane, i) for every i, in kLanes interleaved lanes.
template <class Step>
inline void by_lanes(Index n, const Step& step) {
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        _Pragma("omp simd") for (int k = 0; k < kLanes; ++k) step(k, i + k);
    }
    for (int k = 0; i < n; ++i, ++k) step(k, i);
}

void span_add_lanes(double* sums, const float* a, Index n) {
    double own[kLanes] = {};
    by_lanes(n, [&](int k, Index i) { own[k] += double(a[i]); });
    for (int k = 0; k < kLanes; ++k) sums[k] += own[k];
}

void span_add_lane_products(double* sums, double* products, const float* a, const float* b,
                            Index n) {
    double first[kLanes] = {}, second[kLanes] = {};
    by_lanes(n, [&](int k, Index i) {
        first[k] += double(a[i]);
        second[k] += double(a[i]) * double(b[i]);
    });
    for (int k = 0; k < kLanes; ++k) {
        sums[k] += first[k];
        products[k] += second[k];
    }
}

void span_add_products(double* sums, double* products, const float* a, const float* b, Index n) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) {
        sums[i] += double(a[i]);
        products[i] += double(a[i]) * double(b[i]);
    }
}

void span_add_lane_moments(double* first, double* second, const float* a, const float* shift,
                           Index n) {
    double once[kLanes] = {}, twice[kLanes] = {}, from[kLanes];
    for (int k = 0; k < kLanes; ++k) from[k] = double(shift[k]);
    by_lanes(n, [&](int k, Index i) {
        const double d = double(a[i]) - from[k];
        once[k] += d;
        twice[k] += d * d;
    });
    for (int k = 0; k < kLanes; ++k) {
        first[k] += once[k];
        second[k] += twice[k];
    }
}

void span_lane_slopes(float* out, const float* a, const float* x, Index n, const float* b,
                      const float* c, const float* d, const float* e) {
    by_lanes(n, [&](int k, Index i) { out[i] = (((a[i] - b[k]) - c[k]) - d[k] * x[i]) * e[k]; });
}

void span_slopes(float* out, const float* a, const float* x, Index n, const float* b,
                 const float* c, const float* d, const float* e) {
    _Pragma("omp simd") for (Index i = 0; i < n; ++i) {
        out[i] = (((a[i] - b[i]) - c[i]) - d[i] * x[i]) * e[i];
    }
}

// Philox as in rng/philox.h, kLanes blocks side by side.
void span_draw(float* out, const rng::Stream& stream, std::uint32_t block, Index count) {
    std::uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
    for (Index start = 0; start < count; start += kLanes) {
        std::uint32_t k0 = std::uint32_t(stream.seed), k1 = std::uint32_t(stream.seed >> 32);
        for (int i = 0; i < kLanes; ++i) {
            c0[i] = block + std::uint32_t(start) + std::uint32_t(i);
            c1[i] = stream.step;
            c2[i] = stream.layer;
            c3[i] = stream.tag;
        }
        for (int round = 0; round < rng::kRounds; ++round) {
            _Pragma("omp simd") for (int i = 0; i < kLanes; ++i) {
                const std::uint64_t a = std::uint64_t{rng::kMultiplier[0]} * c0[i];
                const std::uint64_t b = std::uint64_t{rng::kMultiplier[1]} * c2[i];
                c0[i] = std::uint32_t(b >> 32) ^ c1[i] ^ k0;
                c1[i] = std::uint32_t(b);
                c2[i] = std::uint32_t(a >> 32) ^ c3[i] ^ k1;
                c3[i] = std::uint32_t(a);
            }
            k0 += rng::kWeyl[0];
            k1 += rng::kWeyl[1];
        }
        const int left = count - start < kLanes ? int(count - start) : kLanes;
        float* const to = out + 4 * start;
        for (int i = 0; i < left; ++i) {
            to[4 * i] = float(std::int32_t(c0[i] >> 8)) * 0x1p-24f;
            to[4 * i + 1] = float(std::int32_t(c1[i] >> 8)) * 0x1p-24f;
            to[4 * i + 2] = float(std::int32_t(c2[i] >> 8)) * 0x1p-24f;
            to[4 * i + 3] = float(std::int32_t(c3[i] >> 8)) * 0x1p-24f;
        }
    }
}

Index span_count_at_least(const float* a, Index n, float bound) {
    Index total = 0;
    for (Index start = 0; start < n; start += 4096) {
        const Index stop = n - start < 4096 ? n : start + 4096;
        std::int32_t count = 0;
        _Pragma("omp simd reduction(+ : count)") for (Index i = start; i < stop; ++i) {
            count += a[i] >= bound;
        }
        total += count;
    }
    return total;
}

constexpr Spans make_spans() {
    return {{span_copy, span_neg, span_abs, span_sqrt, span_exp, span_expm1, span_log, span_log1p,
             span_tanh},
            {span_add, span_sub, span_mul, span_div, span_pow, span_min, span_max},
            {span_mul_add},
            {span_less, span_less_equal, span_equal, span_normalize_by},
            span_sum,
            span_sum_abs,
            span_sum_squares,
            span_moments,
            span_greatest,
            span_normalize,
            span_exp_sum,
            span_add_to,
            span_add_lanes,
            span_add_lane_products,
            span_add_products,
            span_add_moments,
            span_add_lane_moments,
            span_lane_slopes,
            span_slopes,
            span_draw,
            span_count_at_least};
}
