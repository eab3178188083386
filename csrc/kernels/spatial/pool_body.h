// Part of a loop file (see loops.h): pooling, first along the rows of x and then down its columns,
// so that the first of equal maxima in row-major order stays the first.

namespace graphc::GRAPHC_LOOPS {

namespace {

// best[i] = maximum of x[i * stride] .. x[i * stride + kernel - 1]; where[i]: its index in there.
// A kernel or stride of 0 in the template is one known at run time alone.
template <bool kIndexed, int kKernel, int kStride>
void max_along(const float* x, Index kernel, Index stride, Index count, float* __restrict best,
               int* __restrict where) {
    const Index step = kStride > 0 ? kStride : stride;
    if constexpr (kKernel > 0) {
        for (Index i = 0; i < count; ++i) {
            float value = -kFloatMax;
            int index = 0;
            for (int k = 0; k < kKernel; ++k) {
                const float other = x[i * step + k];
                const bool is_more = other > value;
                value = is_more ? other : value;
                if constexpr (kIndexed) index = is_more ? k : index;
            }
            best[i] = value;
            if constexpr (kIndexed) where[i] = index;
        }
    } else {
        for (Index i = 0; i < count; ++i) best[i] = -kFloatMax;
        if constexpr (kIndexed) {
            for (Index i = 0; i < count; ++i) where[i] = 0;
        }
        for (int k = 0; k < int(kernel); ++k) {
            for (Index i = 0; i < count; ++i) {
                const float other = x[i * step + k];
                const bool is_more = other > best[i];
                best[i] = is_more ? other : best[i];
                if constexpr (kIndexed) where[i] = is_more ? k : where[i];
            }
        }
    }
}

// sums[i] = x[i * stride] + ... + x[i * stride + kernel - 1]
template <int kKernel, int kStride>
void sum_along(const float* x, Index kernel, Index stride, Index count, float* __restrict sums) {
    const Index step = kStride > 0 ? kStride : stride;
    if constexpr (kKernel > 0) {
        for (Index i = 0; i < count; ++i) {
            float sum = 0;
            for (int k = 0; k < kKernel; ++k) sum += x[i * step + k];
            sums[i] = sum;
        }
    } else {
        for (Index i = 0; i < count; ++i) sums[i] = 0;
        for (Index k = 0; k < kernel; ++k) {
            for (Index i = 0; i < count; ++i) sums[i] += x[i * step + k];
        }
    }
}

// Calls run(kernel, stride) with those of the common windows as constants, 0 for others.
template <class F>
void with_constants(const PoolAxis& axis, const F& run) {
    using Zero = std::integral_constant<int, 0>;
    using One = std::integral_constant<int, 1>;
    using Two = std::integral_constant<int, 2>;
    using Three = std::integral_constant<int, 3>;
    if (axis.kernel == 2 && axis.stride == 2) return run(Two(), Two());
    if (axis.kernel == 3 && axis.stride == 2) return run(Three(), Two());
    if (axis.kernel == 3 && axis.stride == 1) return run(Three(), One());
    if (axis.stride == 1) return run(Zero(), One());
    run(Zero(), Zero());
}

// The windows q0 .. q1 - 1 that lie in the image with all of their columns.
struct Inner {
    Index first, stop;

    Inner(const PoolAxis& axis, Index q0, Index q1) {
        const Index room = axis.size - axis.kernel + axis.pad;
        const Index last = room < 0 ? 0 : room / axis.stride + 1;
        first = lesser(greater(q0, (axis.pad + axis.stride - 1) / axis.stride), q1);
        stop = greater(first, lesser(last, q1));
    }
};

template <bool kIndexed>
void max_row(const PoolBlock& block, const float* row, float* best, int* where) {
    const PoolAxis& cols = block.cols;
    const Inner inner(cols, block.q0, block.q1);
    const auto border = [&](Index q) {
        const PoolSpan span = pool_span(cols, q);
        const PoolPeak peak = pool_max(row, 0, {0, 0, 1}, span, cols.kernel);
        best[q - block.q0] = peak.value;
        if constexpr (kIndexed) where[q - block.q0] = int(peak.index);
    };
    for (Index q = block.q0; q < inner.first; ++q) border(q);
    for (Index q = inner.stop; q < block.q1; ++q) border(q);
    const Index count = inner.stop - inner.first, at = inner.first - block.q0;
    if (count == 0) return;
    const float* x = row + inner.first * cols.stride - cols.pad;
    with_constants(cols, [&](auto kernel, auto stride) {
        max_along<kIndexed, kernel(), stride()>(x, cols.kernel, cols.stride, count, best + at,
                                                kIndexed ? where + at : nullptr);
    });
}

void sum_row(const PoolBlock& block, const float* row, float* sums) {
    const PoolAxis& cols = block.cols;
    const Inner inner(cols, block.q0, block.q1);
    const auto border = [&](Index q) {
        sums[q - block.q0] = pool_sum<float>(row, 0, {0, 0, 1}, pool_span(cols, q));
    };
    for (Index q = block.q0; q < inner.first; ++q) border(q);
    for (Index q = inner.stop; q < block.q1; ++q) border(q);
    const Index count = inner.stop - inner.first;
    if (count == 0) return;
    const float* x = row + inner.first * cols.stride - cols.pad;
    with_constants(cols, [&](auto kernel, auto stride) {
        sum_along<kernel(), stride()>(x, cols.kernel, cols.stride, count,
                                      sums + (inner.first - block.q0));
    });
}

// y[i] = maximum of best[i], best[i + step], ... (`kernel` of them).
void max_down(const float* best, Index step, Index kernel, Index count, float* __restrict y) {
    if (kernel == 2) {
        for (Index i = 0; i < count; ++i) {
            const float a = best[i], b = best[i + step];
            y[i] = b > a ? b : a;
        }
        return;
    }
    for (Index i = 0; i < count; ++i) y[i] = best[i];
    Index k = 1;
    for (; k + 1 < kernel; k += 2) {
        const float *one = best + k * step, *two = one + step;
        for (Index i = 0; i < count; ++i) {
            const float value = one[i] > y[i] ? one[i] : y[i];
            y[i] = two[i] > value ? two[i] : value;
        }
    }
    if (k < kernel) {
        const float* one = best + k * step;
        for (Index i = 0; i < count; ++i) y[i] = one[i] > y[i] ? one[i] : y[i];
    }
}

void max_down_indexed(const float* best, const int* inner, Index step, int kernel, int width,
                      float* __restrict y, int* __restrict where) {
    for (Index i = 0; i < step; ++i) y[i] = best[i];
    for (Index i = 0; i < step; ++i) where[i] = inner[i];
    for (int k = 1; k < kernel; ++k) {
        const float* other = best + k * step;
        const int* index = inner + k * step;
        for (Index i = 0; i < step; ++i) {
            const bool is_more = other[i] > y[i];
            y[i] = is_more ? other[i] : y[i];
            where[i] = is_more ? k * width + index[i] : where[i];
        }
    }
}

void max_block(const PoolBlock& block, const float* plane, float* y, Index y_pitch, int* where) {
    float best[kPoolBlock];
    int inner[kPoolBlock];
    const PoolAxis& rows = block.rows;
    const Index width = block.width(), top = block.p0 * rows.stride - rows.pad;
    for (Index i = 0; i < block.span(); ++i) {
        const float* row = plane + (top + i) * block.pitch;
        float* to = best + i * width;
        if (top + i < 0 || top + i >= rows.size) {
            for (Index q = 0; q < width; ++q) to[q] = -kFloatMax;
            for (Index q = 0; where && q < width; ++q) inner[i * width + q] = 0;
        } else if (where) {
            max_row<true>(block, row, to, inner + i * width);
        } else {
            max_row<false>(block, row, to, nullptr);
        }
    }
    const Index height = block.p1 - block.p0;
    if (!where && rows.stride == 1 && y_pitch == width) {
        max_down(best, width, rows.kernel, height * width, y);
        return;
    }
    for (Index p = 0; p < height; ++p) {
        const Index at = p * rows.stride * width;
        if (where) {
            max_down_indexed(best + at, inner + at, width, int(rows.kernel), int(block.cols.kernel),
                             y + p * y_pitch, where + p * width);
        } else {
            max_down(best + at, width, rows.kernel, width, y + p * y_pitch);
        }
    }
}

void mean_block(const PoolBlock& block, const float* plane, float* y, Index y_pitch,
                const float* extents) {
    float sums[kPoolBlock];
    const PoolAxis& rows = block.rows;
    const Index width = block.width(), top = block.p0 * rows.stride - rows.pad;
    for (Index i = 0; i < block.span(); ++i) {
        if (top + i < 0 || top + i >= rows.size) {
            for (Index q = 0; q < width; ++q) sums[i * width + q] = 0;
        } else {
            sum_row(block, plane + (top + i) * block.pitch, sums + i * width);
        }
    }
    for (Index p = block.p0; p < block.p1; ++p, y += y_pitch) {
        const float* first = sums + (p - block.p0) * rows.stride * width;
        const float extent = float(pool_extent(rows, p));
        for (Index q = 0; q < width; ++q) y[q] = first[q];
        for (Index k = 1; k < rows.kernel; ++k) {
            const float* other = first + k * width;
            for (Index q = 0; q < width; ++q) y[q] += other[q];
        }
        for (Index q = 0; q < width; ++q) y[q] /= extent * extents[block.q0 + q];
    }
}

constexpr int kLanes = 16;

// Of two zeros the first counts, which lanes do not know: then it is looked for.
float wide_max(const float* plane, Index pitch, PoolSpan rows, PoolSpan cols) {
    float lanes[kLanes];
    for (float& lane : lanes) lane = -kFloatMax;
    for (Index h = rows.first; h < rows.stop; ++h) {
        const float* row = plane + h * pitch;
        Index w = cols.first;
        for (; w + kLanes <= cols.stop; w += kLanes) {
            for (int i = 0; i < kLanes; ++i)
                lanes[i] = row[w + i] > lanes[i] ? row[w + i] : lanes[i];
        }
        for (int i = 0; w + i < cols.stop; ++i) {
            lanes[i] = row[w + i] > lanes[i] ? row[w + i] : lanes[i];
        }
    }
    float best = lanes[0];
    for (const float lane : lanes) best = lane > best ? lane : best;
    return best == 0 ? pool_max(plane, pitch, rows, cols, 1).value : best;
}

double wide_sum(const float* plane, Index pitch, PoolSpan rows, PoolSpan cols) {
    double lanes[kLanes] = {};
    for (Index h = rows.first; h < rows.stop; ++h) {
        const float* row = plane + h * pitch;
        Index w = cols.first;
        for (; w + kLanes <= cols.stop; w += kLanes) {
            for (int i = 0; i < kLanes; ++i) lanes[i] += double(row[w + i]);
        }
        for (int i = 0; w + i < cols.stop; ++i) lanes[i] += double(row[w + i]);
    }
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    return sum;
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
