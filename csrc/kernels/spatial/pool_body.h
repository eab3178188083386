// Part of a loop file (see loops.h): pooling. Lanes are neighbouring windows, each of which meets
// its elements in row-major order; so the first of equal maxima wins.

namespace graphc::GRAPHC_LOOPS {

namespace {

using Reg = Lanes::Reg;
constexpr int kWidth = Lanes::width;

// What a vector of windows, the first of which starts at element `at` of a row, meets there. A
// stride or kernel of 0 in the template is one known at run time alone.
template <int kStride, int kKernel>
class Taps {
  public:
    Taps(const PoolAxis& cols, Index at) : cols_(cols), at_(at) {
        if constexpr (kStride == 0) return;
        const Index last = offset(loads() - 1) + kWidth;
        is_inner_ = at >= 0 && at + last <= cols.size;
        for (int i = 0; !is_inner_ && i < loads(); ++i) {
            const Index from = at + offset(i);
            const int low = int(lesser(greater(-from, 0), kWidth));
            masks_[i] = Lanes::mask(low, int(lesser(greater(cols.size - from, low), kWidth)));
        }
    }

    // Calls take(elements, k) with tap k of each window; `fill` stands for what is not in the row.
    template <class Take>
    void each(const float* row, Reg fill, const Take& take) const {
        if constexpr (kStride == 0) {
            for (int k = 0; k < kernel(); ++k) take(gather(row, k, fill), k);
        } else if constexpr (kStride == 1) {
            for (int k = 0; k < kernel(); ++k) take(load(row, k, fill), k);
        } else {
            for (int k = 0; k < kernel(); k += 2) {
                const Reg a = load(row, k, fill), b = load(row, k + 1, fill);
                take(Lanes::even(a, b), k);
                if (k + 1 < kernel()) take(Lanes::odd(a, b), k + 1);
            }
        }
    }

  private:
    int kernel() const { return kKernel > 0 ? kKernel : int(cols_.kernel); }
    int loads() const { return kStride == 2 ? (kernel() + 1) / 2 * 2 : kernel(); }
    // Elements from the first window's start to what the i-th load begins with.
    static Index offset(int i) { return kStride == 2 ? i / 2 * 2 + i % 2 * kWidth : i; }

    Reg load(const float* row, int i, Reg fill) const {
        const float* from = row + (at_ + offset(i));
        return is_inner_ ? Lanes::load(from) : Lanes::load_where(masks_[i], from, fill);
    }

    Reg gather(const float* row, int k, Reg fill) const {
        float lanes[kWidth];
        Lanes::store(lanes, fill);
        for (int i = 0; i < kWidth; ++i) {
            const Index from = at_ + k + i * cols_.stride;
            if (from >= 0 && from < cols_.size) lanes[i] = row[from];
        }
        return Lanes::load(lanes);
    }

    const PoolAxis& cols_;
    Index at_;
    bool is_inner_ = false;
    Lanes::Mask masks_[kStride == 0 ? 1 : kKernel > 0 ? kKernel + 1 : kPoolWidest];
};

// Calls each(taps, rows, p, q, count): `count` windows from (p, q) on, which lie in `rows`.
template <int kStride, int kKernel, class Each>
inline void each_vector(const PoolBlock& block, const Each& each) {
    for (Index q = block.q0; q < block.q1; q += kWidth) {
        const Taps<kStride, kKernel> taps(block.cols, q * block.cols.stride - block.cols.pad);
        const int count = int(lesser(block.q1 - q, kWidth));
        for (Index p = block.p0; p < block.p1; ++p) {
            each(taps, pool_span(block.rows, p), p - block.p0, q - block.q0, count);
        }
    }
}

inline void put(float* to, Reg value, int count) {
    if (count == kWidth) return Lanes::store(to, value);
    Lanes::store_first(to, value, count);
}

// Calls run(stride, kernel) with those of common windows as constants, 0 for others.
template <class Run>
void with_constants(const PoolAxis& axis, const Run& run) {
    using Zero = std::integral_constant<int, 0>;
    using One = std::integral_constant<int, 1>;
    using Two = std::integral_constant<int, 2>;
    using Three = std::integral_constant<int, 3>;
    if (axis.stride == 2 && axis.kernel == 2) return run(Two(), Two());
    if (axis.stride == 2 && axis.kernel == 3) return run(Two(), Three());
    if (axis.stride == 1 && axis.kernel == 3) return run(One(), Three());
    if (axis.stride == 2) return run(Two(), Zero());
    if (axis.stride == 1) return run(One(), Zero());
    run(Zero(), Zero());
}

template <int kStride, int kKernel>
void find_max(const PoolBlock& block, const float* plane, float* y, Index pitch) {
    const Reg least = Lanes::set(-kFloatMax);
    each_vector<kStride, kKernel>(
        block, [&](const auto& taps, PoolSpan rows, Index p, Index q, int count) {
            Reg best = least;
            for (Index h = rows.first; h < rows.stop; ++h) {
                taps.each(plane + h * block.pitch, least,
                          [&](Reg x, int) { best = Lanes::larger(best, x); });
            }
            put(y + p * pitch + q, best, count);
        });
}

template <int kStride, int kKernel>
void find_max_and_index(const PoolBlock& block, const float* plane, float* y, Index pitch,
                        float* where) {
    const Reg least = Lanes::set(-kFloatMax);
    each_vector<kStride, kKernel>(
        block, [&](const auto& taps, PoolSpan rows, Index p, Index q, int count) {
            Reg best = least, index = Lanes::zero();
            for (Index h = rows.first; h < rows.stop; ++h) {
                const Index before = (h - rows.start) * block.cols.kernel;
                taps.each(plane + h * block.pitch, least, [&](Reg x, int k) {
                    best = Lanes::larger(best, x, Lanes::set(float(before + k)), index);
                });
            }
            put(y + p * pitch + q, best, count);
            put(where + p * (block.q1 - block.q0) + q, index, count);
        });
}

template <int kStride, int kKernel>
void find_mean(const PoolBlock& block, const float* plane, float* y, Index pitch,
               const float* widths) {
    each_vector<kStride, kKernel>(
        block, [&](const auto& taps, PoolSpan rows, Index p, Index q, int count) {
            Reg sum = Lanes::zero();
            for (Index h = rows.first; h < rows.stop; ++h) {
                taps.each(plane + h * block.pitch, Lanes::zero(),
                          [&](Reg x, int) { sum = Lanes::add(sum, x); });
            }
            const Reg width = Lanes::load_first(widths + q, count);
            const float height = float(pool_extent(block.rows, block.p0 + p));
            put(y + p * pitch + q, Lanes::divide(sum, Lanes::multiply(width, Lanes::set(height))),
                count);
        });
}

void max_block(const PoolBlock& block, const float* plane, float* y, Index pitch, float* where) {
    with_constants(block.cols, [&](auto stride, auto kernel) {
        if (where) {
            find_max_and_index<stride(), kernel()>(block, plane, y, pitch, where);
        } else {
            find_max<stride(), kernel()>(block, plane, y, pitch);
        }
    });
}

void mean_block(const PoolBlock& block, const float* plane, float* y, Index pitch,
                const float* widths) {
    with_constants(block.cols, [&](auto stride, auto kernel) {
        find_mean<stride(), kernel()>(block, plane, y, pitch, widths);
    });
}

constexpr int kParts = 16 / kWidth;

// Calls take(i, elements) with the i-th part of each sixteen neighbours of a window, and then
// next(); lanes are sixteen for every Isa. `fill` stands for what is not there.
template <class Take, class Next>
inline void each_part(const float* plane, Index pitch, PoolSpan rows, PoolSpan cols, Reg fill,
                      const Take& take, const Next& next) {
    for (Index h = rows.first; h < rows.stop; ++h) {
        const float* row = plane + h * pitch;
        Index w = cols.first;
        for (; w + 16 <= cols.stop; w += 16, next()) {
            for (int i = 0; i < kParts; ++i) take(i, Lanes::load(row + w + i * kWidth));
        }
        if (w == cols.stop) continue;
        for (int i = 0; w < cols.stop; ++i, w += kWidth) {
            const int count = int(lesser(cols.stop - w, kWidth));
            take(i, Lanes::load_where(Lanes::mask(0, count), row + w, fill));
        }
        next();
    }
}

// Of two zeros the first counts, which lanes do not know: then it is looked for.
float wide_max(const float* plane, Index pitch, PoolSpan rows, PoolSpan cols) {
    Reg best[kParts];
    for (Reg& each : best) each = Lanes::set(-kFloatMax);
    each_part(
        plane, pitch, rows, cols, best[0],
        [&](int i, Reg x) { best[i] = Lanes::larger(best[i], x); }, [] {});
    for (int i = 1; i < kParts; ++i) best[0] = Lanes::larger(best[0], best[i]);
    float lanes[kWidth];
    Lanes::store(lanes, best[0]);
    float most = lanes[0];
    for (const float lane : lanes) most = lane > most ? lane : most;
    return most == 0 ? pool_max(plane, pitch, rows, cols, 1).value : most;
}

// Eight elements of each lane are summed as floats, those sums as doubles.
double wide_sum(const float* plane, Index pitch, PoolSpan rows, PoolSpan cols) {
    double sums[16] = {};
    Reg few[kParts];
    for (Reg& each : few) each = Lanes::zero();
    int taken = 0;
    const auto flush = [&] {
        float lanes[16];
        for (int i = 0; i < kParts; ++i) {
            Lanes::store(lanes + i * kWidth, few[i]);
            few[i] = Lanes::zero();
        }
        for (int i = 0; i < 16; ++i) sums[i] += double(lanes[i]);
        taken = 0;
    };
    each_part(
        plane, pitch, rows, cols, Lanes::zero(),
        [&](int i, Reg x) { few[i] = Lanes::add(few[i], x); },
        [&] {
            if (++taken == 8) flush();
        });
    flush();
    for (int i = 0; i < 8; ++i) sums[i] += sums[i + 8];
    for (int i = 0; i < 4; ++i) sums[i] += sums[i + 4];
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
