// Part of loops.h: polynomials along one axis and along both, from elements to points and back.
#pragma once

#include "kernels/loops/finish.h"
#include "kernels/winograd/types.h"

namespace graphc::winograd {

// Factors of the transforms. `all`: coefficients of the even powers, from the constant one on, of
// the product of (z^2 - at^2) over all pairs of points; `others`: over all pairs but one. `powers`:
// of `at`; `kernel`: the same, divided by the product of the point's distances to the others.
template <int Patch>
struct Factors {
    using P = Points<Patch>;
    static constexpr int pairs = P::pairs, most = 5;
    float all[pairs + 1] = {}, others[pairs][pairs + 1] = {};
    float powers[pairs][most] = {}, kernel[pairs][most] = {};

    constexpr Factors() {
        multiply(all, -1);
        for (int i = 0; i < pairs; ++i) {
            multiply(others[i], i);
            float value = 0, power = 1;
            for (int k = pairs; k-- > 0;) value = value * P::at[i] * P::at[i] + others[i][k];
            for (int k = 0; k < most; ++k, power *= P::at[i]) {
                powers[i][k] = power;
                kernel[i][k] = power / (2 * P::at[i] * P::at[i] * value);
            }
        }
    }

  private:
    static constexpr void multiply(float (&made)[pairs + 1], int but) {
        int count = 1;
        made[0] = 1;
        for (int i = 0; i < pairs; ++i) {
            if (i == but) continue;
            const float square = P::at[i] * P::at[i];
            for (int k = count++; k > 0; --k) made[k] = made[k - 1] - square * made[k];
            made[0] *= -square;
        }
    }
};

template <int Patch>
constexpr Factors<Patch> factors{};

// The sum of by[k] * d[2 * k] up to the last one, whose factor is 1.
template <class S, int Last>
inline typename S::Reg combine(const typename S::Reg* d, const float* by) {
    typename S::Reg sum = d[2 * Last];
    GRAPHC_UNROLL
    for (int k = Last - 1; k >= 0; --k) sum = S::multiply_add(S::set(by[k]), d[2 * k], sum);
    return sum;
}

// p = B^T d, the values at the points of the polynomial whose coefficients are d.
template <class S, int Patch>
inline void evaluate_patch(const typename S::Reg (&d)[Patch], typename S::Reg (&p)[Patch]) {
    using Reg = typename S::Reg;
    constexpr const Factors<Patch>& by = factors<Patch>;
    p[0] = combine<S, by.pairs>(d, by.all);
    p[Patch - 1] = combine<S, by.pairs>(d + 1, by.all);
    GRAPHC_UNROLL
    for (int i = 0; i < by.pairs; ++i) {
        const Reg odd = combine<S, by.pairs - 1>(d + 1, by.others[i]);
        const Reg even = combine<S, by.pairs - 1>(d + 2, by.others[i]);
        p[2 * i + 1] = S::multiply_add(S::set(by.powers[i][1]), odd, even);
        p[2 * i + 2] = S::multiply_add(S::set(-by.powers[i][1]), odd, even);
    }
}

// u = G g, the polynomial g at the points, each divided by the product of the point's distances to
// the others.
template <class S, int Patch, int Taps>
inline void evaluate_kernel(const typename S::Reg (&g)[Taps], typename S::Reg (&u)[Patch]) {
    using Reg = typename S::Reg;
    constexpr const Factors<Patch>& by = factors<Patch>;
    u[0] = S::multiply(S::set(1 / by.all[0]), g[0]);
    u[Patch - 1] = g[Taps - 1];
    GRAPHC_UNROLL
    for (int i = 0; i < by.pairs; ++i) {
        Reg sums[2] = {S::multiply(S::set(by.kernel[i][0]), g[0]),
                       S::multiply(S::set(by.kernel[i][1]), g[1])};
        GRAPHC_UNROLL
        for (int k = 2; k < Taps; ++k) {
            sums[k % 2] = S::multiply_add(S::set(by.kernel[i][k]), g[k], sums[k % 2]);
        }
        u[2 * i + 1] = S::add(sums[0], sums[1]);
        u[2 * i + 2] = S::multiply_add(S::set(-1), sums[1], sums[0]);
    }
}

// y = A^T m, sums from the products at the points.
template <class S, int Patch, int Sums>
inline void interpolate(const typename S::Reg (&m)[Patch], typename S::Reg (&y)[Sums]) {
    using Reg = typename S::Reg;
    constexpr const Factors<Patch>& by = factors<Patch>;
    Reg sums[2][by.pairs];
    GRAPHC_UNROLL
    for (int i = 0; i < by.pairs; ++i) {
        sums[0][i] = S::add(m[2 * i + 1], m[2 * i + 2]);
        sums[1][i] = S::multiply_add(S::set(-1), m[2 * i + 2], m[2 * i + 1]);
    }
    GRAPHC_UNROLL
    for (int n = 0; n < Sums; ++n) {
        const Reg(&from)[by.pairs] = sums[n % 2];
        y[n] = n == 0 ? S::add(m[0], from[0]) : S::multiply(S::set(by.powers[0][n]), from[0]);
        GRAPHC_UNROLL
        for (int i = 1; i < by.pairs; ++i) {
            y[n] = n == 0 ? S::add(y[n], from[i])
                          : S::multiply_add(S::set(by.powers[i][n]), from[i], y[n]);
        }
    }
    y[Sums - 1] = S::add(m[Patch - 1], y[Sums - 1]);
}

// `map` along columns and then along rows: `load` of row i and column j to `store` of them, which
// should hold values, as references would be followed anew after each vector that is stored.
template <class S, int From, int To, class Map, class Load, class Store>
inline void map_both(const Map& map, const Load& load, const Store& store) {
    using Reg = typename S::Reg;
    Reg half[From][To];
    GRAPHC_UNROLL
    for (int j = 0; j < From; ++j) {
        Reg column[From];
        GRAPHC_UNROLL
        for (int i = 0; i < From; ++i) column[i] = load(i, j);
        map(column, half[j]);
    }
    GRAPHC_UNROLL
    for (int i = 0; i < To; ++i) {
        Reg row[From], made[To];
        GRAPHC_UNROLL
        for (int j = 0; j < From; ++j) row[j] = half[j][i];
        map(row, made);
        GRAPHC_UNROLL
        for (int j = 0; j < To; ++j) store(i, j, made[j]);
    }
}

}  // namespace graphc::winograd
