// Part of a loop file (see loops.h): pooling of blocked operands (kernels/blocked.h).
// Lanes are channels of one block, which is a whole number of vectors.

namespace graphc::GRAPHC_LOOPS {

namespace {

// Calls take(elements) for what each vector of a window's channels meets in it.
template <class Take>
inline void each_pixel(const BlockedRow& row, const float* x, PoolSpan cols, const Take& take) {
    const float* line = x + (row.rows.first * row.cols.size + cols.first) * row.lanes;
    for (Index h = row.rows.first; h < row.rows.stop; ++h, line += row.cols.size * row.lanes) {
        const float* from = line;
        for (Index w = cols.first; w < cols.stop; ++w, from += row.lanes) take(Lanes::load(from));
    }
}

void max_blocked(const BlockedRow& row, const float* x, float* y) {
    for (Index c = 0; c < row.lanes; c += Lanes::width) {
        for (Index q = 0; q < row.windows; ++q) {
            Lanes::Reg best = Lanes::set(-kFloatMax);
            each_pixel(row, x + c, pool_span(row.cols, q),
                       [&](Lanes::Reg each) { best = Lanes::larger(best, each); });
            Lanes::store(y + q * row.lanes + c, best);
        }
    }
}

// As in wide_sum(), eight elements are summed as floats, those sums as doubles.
inline void wide_mean(const BlockedRow& row, const float* x, PoolSpan cols, double extent,
                      float* y) {
    double sums[Lanes::width] = {};
    float lanes[Lanes::width];
    Lanes::Reg few = Lanes::zero();
    int taken = 0;
    const auto flush = [&] {
        Lanes::store(lanes, few);
        for (int i = 0; i < Lanes::width; ++i) sums[i] += double(lanes[i]);
        few = Lanes::zero();
        taken = 0;
    };
    each_pixel(row, x, cols, [&](Lanes::Reg each) {
        few = Lanes::add(few, each);
        if (++taken == 8) flush();
    });
    flush();
    for (int i = 0; i < Lanes::width; ++i) y[i] = float(sums[i] / extent);
}

void mean_blocked(const BlockedRow& row, const float* x, float* y) {
    for (Index c = 0; c < row.lanes; c += Lanes::width) {
        for (Index q = 0; q < row.windows; ++q) {
            const PoolSpan cols = pool_span(row.cols, q);
            float* to = y + q * row.lanes + c;
            if (row.is_wide) {
                const double extent = double(row.extent) * double(pool_extent(row.cols, q));
                wide_mean(row, x + c, cols, extent, to);
                continue;
            }
            Lanes::Reg sum = Lanes::zero();
            each_pixel(row, x + c, cols, [&](Lanes::Reg each) { sum = Lanes::add(sum, each); });
            const Lanes::Reg extent =
                Lanes::set(float(pool_extent(row.cols, q)) * float(row.extent));
            Lanes::store(to, Lanes::divide(sum, extent));
        }
    }
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
