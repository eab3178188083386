// What the gradients of LSTM and RNN share: the way from the sums of a step to the state before it.
#pragma once

#include "kernels/implicit_gemm.h"
#include "kernels/matrix_product.h"
#include "kernels/recurrent.h"

namespace graphc {

// y[n,o] = sum_k x[n,k] w[k,o] for one w after another x: each run of a kernel packs w once.
class TurnedProduct {
  public:
    TurnedProduct(std::int64_t rows, std::int64_t outputs, std::int64_t depth, int threads,
                  Room& room);

    void pack(const Run& run, const float* weight) const;
    void multiply(const Run& run, const float* x, float* y) const;

  private:
    static ImplicitGemm made(std::int64_t rows, std::int64_t outputs, std::int64_t depth,
                             int threads);

    ImplicitGemm product_;
    WeightPlaces places_;
    double weights_;
    std::size_t packed_at_, own_at_;
};

// dh[n,:] = cont[n] dsums[n,:] W_h: the gradient of the state before a step, given that of the
// step's sums; to be packed as TurnedProduct.
class StepBack {
  public:
    StepBack(const SequenceShape& shape, int threads, Room& room)
        : shape_(shape), product_(shape.streams, shape.units, shape.rows, threads, room) {}

    void pack(const Run& run, const float* weight) const { product_.pack(run, weight); }
    void step(const Run& run, const float* dsums, const float* cont, float* dh) const;

  private:
    SequenceShape shape_;
    TurnedProduct product_;
};

// Extents of a kernel that reads dsums (T, N, rows) as the first of `reads` operands and writes one
// result, of `units` columns. Throws Error (GC-A001) for others.
SequenceShape shape_behind(const Problem& problem, std::size_t reads, std::int64_t units);
// Elements of the one result from axis `first` on.
std::int64_t columns_of(const Problem& problem, int first);

// dW (rows, units) = a^T b or that more, a (depth, rows) and b (depth, units).
class RowsGradient {
  public:
    RowsGradient(const Problem& problem, const SequenceShape& shape, std::int64_t depth, bool adds,
                 Room& room);

    void run(const Run& run, const float* a, const float* b) const;

  private:
    std::int64_t rows_, columns_;
    bool adds_;
    MatrixProduct product_;
    std::size_t at_;
};

// The gradient of a state (N, D) that a kernel starts from: operand `given`, or zeros if that is
// negative.
void start_from(const Run& run, int given, std::int64_t count, float* gradient);

}  // namespace graphc
