// Elementary functions of float32, without branches so that loops over them vectorise. Errors are
// below 2.5 units in the last place (tests/core/test_span_math.py); NaN, inf and -0 as in C's.
// Included inside an anonymous namespace, once per instruction set.

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
// 1.5 * 2^23: added to a float below 2^22, it leaves the nearest whole number in the low bits.
constexpr float kRound = 12582912.0f;
constexpr std::uint32_t kRoundBits = 0x4B400000u;
constexpr float kLog2E = 1.44269504f;
// log 2 in two parts; the first has 9 bits, so that its products with exponents are exact.
constexpr float kLog2High = 0.693359375f, kLog2Low = -2.12194440e-4f;

inline float from_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline std::uint32_t to_bits(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float magnitude(float x) { return from_bits(to_bits(x) & 0x7FFFFFFFu); }

inline float two_to(std::int32_t n) { return from_bits(std::uint32_t(n + 127) << 23); }

// x = n log 2 + r with |r| <= log(2) / 2; garbage n for a NaN.
struct Reduced {
    float r;
    std::int32_t n;
};

inline Reduced reduce(float x) {
    const float shifted = x * kLog2E + kRound;
    const float n = shifted - kRound;
    const float r = (x - n * kLog2High) - n * kLog2Low;
    return {r, std::int32_t(to_bits(shifted) - kRoundBits)};
}

inline float exp_of(float x) {
    x = x > 89.0f ? 89.0f : x;  // beyond, the result is inf or 0 anyway
    x = x < -104.0f ? -104.0f : x;
    const auto [r, n] = reduce(x);
    float q = 1.3951717e-3f;
    q = q * r + 8.3695985e-3f;
    q = q * r + 4.1666187e-2f;
    q = q * r + 0.16666512f;
    q = q * r + 0.5f;
    const float p = (q * r * r + r) + 1.0f;
    const std::int32_t half = n >> 1;  // in two steps, for results below the normal range
    return p * two_to(half) * two_to(n - half);
}

inline float expm1_of(float given) {
    float x = given > 89.0f ? 89.0f : given;
    x = x < -18.0f ? -18.0f : x;
    const auto [r, n] = reduce(x);
    float q = 1.3941232e-3f;
    q = q * r + 8.3670979e-3f;
    q = q * r + 4.1666396e-2f;
    q = q * r + 0.16666539f;
    const float p = r + r * r * (q * r + 0.5f);
    const float s = two_to(n - 1);  // half of 2^n, which need not be a float
    const float y = 2.0f * (s * p + (s - 0.5f));
    return magnitude(given) < 1e-8f ? given : y;
}

// Logarithm of a positive, finite, normal x times 2^-offset.
inline float log_of_normal(float x, float offset) {
    const std::uint32_t bits = to_bits(x);
    const std::int32_t e = std::int32_t(bits - 0x3F3504F3u) >> 23;  // sqrt(1/2) <= x / 2^e
    const float f = from_bits(bits - (std::uint32_t(e) << 23)) - 1.0f;
    const float k = float(e) - offset;
    const float s = f / (2.0f + f), z = s * s;
    const float tail = z * (0.66666782f + z * (0.39976612f + z * 0.29898658f));
    const float h = 0.5f * f * f;
    return k * kLog2High - ((h - (s * (h + tail) + k * kLog2Low)) - f);
}

inline float log_of(float x) {
    const bool is_small = x < 1.17549435e-38f;
    const float y = log_of_normal(is_small ? x * 8388608.0f : x, is_small ? 23.0f : 0.0f);
    const float checked = x < kInf ? y : x;  // inf and NaN stay
    const float nonzero = x < 0.0f ? kNaN : checked;
    return x == 0.0f ? -kInf : nonzero;
}

inline float log1p_of(float x) {
    const float u = 1.0f + x;
    const float rest = (x - (u - 1.0f)) / u;  // what rounding 1 + x has lost
    const float y = log_of(u) + rest;
    const float checked = ((u > 0.0f) & (u < kInf)) ? y : log_of(u);
    return magnitude(x) < 1e-8f ? x : checked;
}

inline float tanh_of(float x) {
    float a = magnitude(x);
    a = a > 10.0f ? 10.0f : a;  // from there on 1
    const float t = expm1_of(2.0f * a);
    return from_bits(to_bits(t / (t + 2.0f)) | (to_bits(x) & 0x80000000u));
}
