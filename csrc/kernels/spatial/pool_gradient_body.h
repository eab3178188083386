// Part of a loop file (see loops.h): gradients of pooling for blocked operands.

namespace graphc::GRAPHC_LOOPS {

namespace {

template <class Int>
void max_gradient(const BlockedRow& row, const float* dy, const Int* index, float* dx) {
    constexpr int kWidth = Lanes::width;
    const Index pitch = row.cols.size * row.lanes;
    for (Index q = 0; q < row.windows; ++q) {
        const PoolSpan cols = pool_span(row.cols, q);
        for (Index c = 0; c < row.lanes; c += kWidth) {
            const float* const from = dy + q * row.lanes + c;
            std::int32_t where[kWidth];
            float values[kWidth];
            for (int k = 0; k < kWidth; ++k) where[k] = std::int32_t(index[q * row.lanes + c + k]);
            for (int k = 0; k < kWidth; ++k) values[k] = from[k];
            for (Index h = row.rows.first; h < row.rows.stop; ++h) {
                std::int32_t mark = std::int32_t((h - row.rows.start) * row.cols.kernel +
                                                 (cols.first - cols.start));
                float* to = dx + h * pitch + cols.first * row.lanes + c;
                for (Index w = cols.first; w < cols.stop; ++w, ++mark, to += row.lanes) {
                    for (int k = 0; k < kWidth; ++k) to[k] += where[k] == mark ? values[k] : 0.0F;
                }
            }
        }
    }
}

void max_gradient_u8(const BlockedRow& row, const float* dy, const std::uint8_t* index, float* dx) {
    max_gradient(row, dy, index, dx);
}

void max_gradient_i32(const BlockedRow& row, const float* dy, const std::int32_t* index,
                      float* dx) {
    max_gradient(row, dy, index, dx);
}

void mean_gradient(const BlockedRow& row, const float* dy, float* dx) {
    const Index pitch = row.cols.size * row.lanes;
    for (Index q = 0; q < row.windows; ++q) {
        const PoolSpan cols = pool_span(row.cols, q);
        const Lanes::Reg extent = Lanes::set(float(row.extent) * float(pool_extent(row.cols, q)));
        for (Index c = 0; c < row.lanes; c += Lanes::width) {
            const Lanes::Reg share = Lanes::divide(Lanes::load(dy + q * row.lanes + c), extent);
            for (Index h = row.rows.first; h < row.rows.stop; ++h) {
                float* to = dx + h * pitch + cols.first * row.lanes + c;
                for (Index w = cols.first; w < cols.stop; ++w, to += row.lanes) {
                    Lanes::store(to, Lanes::add(Lanes::load(to), share));
                }
            }
        }
    }
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
