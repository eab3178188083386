// The inner loops of Winograd's convolution, for any Simd. Included by the files of this folder
// that are named for an Isa only, after the instructions are switched on; nothing of the standard
// library may be used here nor in the other headers.
#pragma once

#include "kernels/winograd/transforms.h"
#include "kernels/winograd/types.h"
#include "kernels/winograd/weight.h"

namespace graphc::winograd {

template <class S, int Rows, int Vectors>
void product(const ProductJob& job) {
    using Reg = typename S::Reg;
    constexpr int width = S::width;
    Reg sum[Rows][Vectors];
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) sum[i][j] = S::zero();
    }
    const float *u = job.u, *ahead = job.ahead;
    const float* from = job.v;
    for (std::int64_t left = job.depth; left > 0; left -= width, from += job.v_step) {
        const float* stop = from + (left < width ? left : width);
        for (const float* v = from; v < stop; ++v, u += Vectors * width) {
            prefetch_for_later(ahead);
            ahead += job.ahead_step;
            Reg right[Vectors];
            GRAPHC_UNROLL
            for (int j = 0; j < Vectors; ++j) right[j] = S::load(u + j * width);
            GRAPHC_UNROLL
            for (int i = 0; i < Rows; ++i) {
                const Reg one = S::set(v[i * width]);
                GRAPHC_UNROLL
                for (int j = 0; j < Vectors; ++j) {
                    sum[i][j] = S::multiply_add(one, right[j], sum[i][j]);
                }
            }
        }
    }
    GRAPHC_UNROLL
    for (int j = 0; j < Vectors; ++j) {
        GRAPHC_UNROLL
        for (int i = 0; i < Rows; ++i) S::store(job.m + j * job.m_step + i * width, sum[i][j]);
    }
}

template <class S, int Rows, int Vectors>
void gradient(const GradientJob& job) {
    using Reg = typename S::Reg;
    Reg sum[Rows][Vectors];
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) {
            sum[i][j] = job.starts ? S::zero() : S::load(job.m + i * job.m_step + j * S::width);
        }
    }
    const float *u = job.u, *v = job.v;
    for (std::int64_t t = job.depth; t > 0; --t, u += S::width, v += S::width) {
        Reg right[Vectors];
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) right[j] = S::load(u + j * job.u_step);
        GRAPHC_UNROLL
        for (int i = 0; i < Rows; ++i) {
            const Reg one = S::set(v[i]);
            GRAPHC_UNROLL
            for (int j = 0; j < Vectors; ++j) {
                sum[i][j] = S::multiply_add(one, right[j], sum[i][j]);
            }
        }
    }
    GRAPHC_UNROLL
    for (int i = 0; i < Rows; ++i) {
        GRAPHC_UNROLL
        for (int j = 0; j < Vectors; ++j) {
            S::store(job.m + i * job.m_step + j * S::width, sum[i][j]);
        }
    }
}

// Filled by a template that counts down; what an Isa has no registers for stays null.
template <class S, int Rows>
constexpr void fill_products(Loops& made) {
    made.product[Rows - 1][0] = &product<S, Rows, 1>;
    made.product[Rows - 1][1] = &product<S, Rows, 2>;
    if constexpr (Rows > 1) fill_products<S, Rows - 1>(made);
}

template <class S, int Rows>
constexpr void fill_gradients(Loops& made) {
    made.gradient[Rows - 1][0] = &gradient<S, Rows, 1>;
    made.gradient[Rows - 1][1] = &gradient<S, Rows, 2>;
    if constexpr (Rows > 1) fill_gradients<S, Rows - 1>(made);
}

template <class S, int Kernel>
constexpr Loops make_loops() {
    Loops made{};
    made.kernel = Kernel;
    made.width = S::width;
    made.tile_rows = S::tile_rows;
    made.input = &input<S, Kernel>;
    made.output = &output<S, Kernel>;
    made.turn = &turn<S, Kernel>;
    made.weight = &weight<S, Kernel>;
    made.gradient_input = &gradient_input<S, Kernel>;
    made.gradient_output = &gradient_output<S, Kernel>;
    fill_products<S, S::tile_rows>(made);
    constexpr int rows = S::width < 16 ? 4 : kMaxGradientRows;
    made.gradient_rows = rows;
    fill_gradients<S, rows>(made);
    return made;
}

}  // namespace graphc::winograd
