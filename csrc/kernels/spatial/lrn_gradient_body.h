// Part of a loop file (see loops.h), after lrn_body.h: gradients of LRN, from x and dy alone.
// With s = shift + share * (sum of x^2 over the window) and p = s^-beta:
// dx = dy p - 2 beta share x * (sum of dy x p / s over the window).

namespace graphc::GRAPHC_LOOPS {

namespace {

// scaled = dy p and ratio = dy x p / s, of the sums of squares.
void weigh(const Lrn& lrn, const float* x, const float* dy, const float* sums, Index count,
           float* __restrict scaled, float* __restrict ratio) {
    // `inverse` gives 1 / s, and puts p into its argument.
    const auto each = [&](const auto& inverse) {
        for (Index i = 0; i < count; ++i) {
            float power = 1;
            const float share = inverse(lrn.shift + lrn.share * sums[i], power);
            scaled[i] = dy[i] * power;
            ratio[i] = scaled[i] * x[i] * share;
        }
    };
    if (lrn.beta == 0.75F) {
        each([](float s, float& power) {
            const float root = 1 / sqrtf(s);
            power = root * sqrtf(root);
            return root * root;
        });
    } else if (lrn.beta == 0.5F) {
        each([](float s, float& power) {
            power = 1 / sqrtf(s);
            return power * power;
        });
    } else if (lrn.beta == 0) {
        each([](float s, float&) { return 1 / s; });
    } else {
        const float beta = lrn.beta;
        each([beta](float s, float& power) {
            power = exp_of(-beta * log_of(s));
            return 1 / s;
        });
    }
}

void combine(const Lrn& lrn, const float* x, const float* scaled, const float* sums, Index count,
             float* dx) {
    const float factor = 2 * lrn.beta * lrn.share;
    for (Index i = 0; i < count; ++i) dx[i] = scaled[i] - factor * x[i] * sums[i];
}

void lrn_across_gradient(const Lrn& lrn, const float* x, Index x_step, const float* dy,
                         Index dy_step, float* dx, Index dx_step, Index channels, Index count,
                         float* scratch) {
    float sums[kLrnBlock];
    float *const scaled = scratch, *const ratio = scratch + channels * count;
    const auto first = [&](Index c) { return greater(c - lrn.radius, 0); };
    const auto extent = [&](Index c) {
        return lesser(c + lrn.radius + 1, channels) - greater(c - lrn.radius, 0);
    };
    for (Index c = 0; c < channels; ++c) {
        sum_rows<true>(x + first(c) * x_step, x_step, extent(c), count, sums);
        weigh(lrn, x + c * x_step, dy + c * dy_step, sums, count, scaled + c * count,
              ratio + c * count);
    }
    for (Index c = 0; c < channels; ++c) {
        sum_rows<false>(ratio + first(c) * count, count, extent(c), count, sums);
        combine(lrn, x + c * x_step, scaled + c * count, sums, count, dx + c * dx_step);
    }
}

// Sums of terms (x^2, or x itself) over the square windows round the pixels of row h of a plane, of
// `lanes` channels that lie side by side. `down`: room for a row.
template <bool kSquares>
void window_sums(const Lrn& lrn, const float* x, Index height, Index width, Index lanes,
                 Index pitch, Index h, float* down, float* sums) {
    const Index top = greater(h - lrn.radius, 0), bottom = lesser(h + lrn.radius + 1, height);
    const Index row = width * lanes, reach = lesser(lrn.radius, width - 1);
    sum_rows<kSquares>(x + top * pitch, pitch, bottom - top, row, down);
    for (Index i = 0; i < row; ++i) sums[i] = down[i];
    for (Index shift = lanes; shift <= reach * lanes; shift += lanes) {
        add_rows<1, false>(down, row, row - shift, sums + shift);
        add_rows<1, false>(down + shift, row, row - shift, sums);
    }
}

void lrn_within_plane(const Lrn& lrn, const float* x, Index x_pitch, float* y, Index y_pitch,
                      Index height, Index width, Index lanes, float* scratch) {
    float *const down = scratch, *const sums = down + width * lanes;
    for (Index h = 0; h < height; ++h) {
        window_sums<true>(lrn, x, height, width, lanes, x_pitch, h, down, sums);
        finish(lrn, x + h * x_pitch, sums, width * lanes, y + h * y_pitch);
    }
}

void lrn_within_gradient(const Lrn& lrn, const float* x, Index x_pitch, const float* dy,
                         Index dy_pitch, float* dx, Index dx_pitch, Index height, Index width,
                         Index lanes, float* scratch) {
    const Index row = width * lanes;
    float *const down = scratch, *const sums = down + row;
    float *const scaled = sums + row, *const ratio = scaled + height * row;
    for (Index h = 0; h < height; ++h) {
        window_sums<true>(lrn, x, height, width, lanes, x_pitch, h, down, sums);
        weigh(lrn, x + h * x_pitch, dy + h * dy_pitch, sums, row, scaled + h * row,
              ratio + h * row);
    }
    for (Index h = 0; h < height; ++h) {
        window_sums<false>(lrn, ratio, height, width, lanes, row, h, down, sums);
        combine(lrn, x + h * x_pitch, scaled + h * row, sums, row, dx + h * dx_pitch);
    }
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
