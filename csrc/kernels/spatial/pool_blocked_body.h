// Part of a loop file (see loops.h): pooling of blocked operands (kernels/blocked.h).
// Lanes are channels of one block, which is a whole number of vectors.

namespace graphc::GRAPHC_LOOPS {

namespace {

// Calls take(elements) for what each vector of a window's channels meets in it, row by row.
// kAcross: elements of a row, 0 if only known at run time.
template <int kAcross, class Take>
inline void each_row(const BlockedRow& row, const float* x, PoolSpan cols, const Take& take) {
    const Index pitch = row.cols.size * row.lanes;
    const Index across = kAcross > 0 ? kAcross : cols.stop - cols.first;
    const float* from = x + row.rows.first * pitch + cols.first * row.lanes;
    for (Index h = row.rows.first; h < row.rows.stop; ++h, from += pitch) {
        for (Index i = 0; i < across; ++i) take(Lanes::load(from + i * row.lanes));
    }
}

template <class Take>
inline void each_pixel(const BlockedRow& row, const float* x, PoolSpan cols, const Take& take) {
    const Index across = cols.stop - cols.first;
    if (across == 3) return each_row<3>(row, x, cols, take);
    if (across == 2) return each_row<2>(row, x, cols, take);
    each_row<0>(row, x, cols, take);
}

void max_blocked(const BlockedRow& row, const float* x, float* y, float* where) {
    for (Index c = 0; c < row.lanes; c += Lanes::width) {
        for (Index q = 0; q < row.windows; ++q) {
            const PoolSpan cols = pool_span(row.cols, q);
            Lanes::Reg best = Lanes::set(-kFloatMax);
            if (!where) {
                each_pixel(row, x + c, cols,
                           [&](Lanes::Reg each) { best = Lanes::larger(best, each); });
                Lanes::store(y + q * row.lanes + c, best);
                continue;
            }
            Lanes::Reg at = Lanes::zero();
            const Index pitch = row.cols.size * row.lanes;
            for (Index h = row.rows.first; h < row.rows.stop; ++h) {
                const float* from = x + h * pitch + cols.first * row.lanes + c;
                float mark =
                    float((h - row.rows.start) * row.cols.kernel + (cols.first - cols.start));
                for (Index w = cols.first; w < cols.stop; ++w, from += row.lanes, mark += 1) {
                    best = Lanes::larger(best, Lanes::load(from), Lanes::set(mark), at);
                }
            }
            Lanes::store(y + q * row.lanes + c, best);
            Lanes::store(where + q * row.lanes + c, at);
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
