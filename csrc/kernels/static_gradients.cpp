// Gradients of an input that LSTM and RNN add to every step, given those of the sums, dsums (T, N,
// rows).
// "static_dx": dx[n,:] = sum_t dsums[t,n,:] W. Reads dsums, W (rows, I).
// "static_dweight": dW = sum_t,n dsums[t,n,:]^T x[n,:]. Reads dsums, x (N, i...) and, with
// attribute accumulate, dW, to which it then adds.

#include <algorithm>

#include "kernels/recurrent_gradient.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

// total[n,r] = sum_t dsums[t,n,r], in order.
class StepSums {
  public:
    StepSums(const SequenceShape& shape, Room& room)
        : steps_(shape.steps), block_(shape.streams * shape.rows), at_(room.take(block_)) {}

    const float* run(const Run& run) const {
        constexpr std::int64_t kSome = 256;
        float* const total = floats_at(run.workspace, at_);
        split(block_, threads_of(steps_ * block_, run.threads),
              [&](std::int64_t first, std::int64_t stop) {
                  for (std::int64_t i = first; i < stop; i += kSome) {
                      const std::int64_t count = std::min(kSome, stop - i);
                      double sums[kSome] = {};
                      for (std::int64_t t = 0; t < steps_; ++t) {
                          spans_.add_to(sums, run.in(0) + t * block_ + i, count);
                      }
                      for (std::int64_t k = 0; k < count; ++k) total[i + k] = float(sums[k]);
                  }
              });
        return total;
    }

  private:
    const Spans& spans_ = spans();
    std::int64_t steps_, block_;
    std::size_t at_;
};

class StaticGradient final : public Kernel {
  public:
    explicit StaticGradient(const Problem& problem)
        : shape_(shape_behind(problem, 2, columns_of(problem, 1))),
          sums_(shape_, room_),
          product_(shape_.streams, shape_.units, shape_.rows, problem.threads),
          own_at_(room_.take(std::int64_t(product_.workspace() / sizeof(float)))) {
        require_flat(problem.reads[1], shape_.rows * shape_.units, "W_static");
        require_flat(problem.writes[0], shape_.streams * shape_.units, "dx_static");
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        product_.run({sums_.run(run), shape_.rows, 1, run.in(1), shape_.units, run.out(0),
                      shape_.units, false, run.workspace + own_at_, run.threads});
    }

  private:
    SequenceShape shape_;
    Room room_;
    StepSums sums_;
    MatrixProduct product_;
    std::size_t own_at_;
};

class StaticWeightGradient final : public Kernel {
  public:
    explicit StaticWeightGradient(const Problem& problem)
        : adds_(flag(problem.attrs, "accumulate")),
          shape_(shape_behind(problem, 2 + std::size_t(adds_), columns_of(problem, 1))),
          sums_(shape_, room_),
          product_(problem, shape_, shape_.streams, adds_, room_) {
        require_flat(problem.reads[1], shape_.streams * shape_.units, "x_static");
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override { product_.run(run, sums_.run(run), run.in(1)); }

  private:
    bool adds_;
    SequenceShape shape_;
    Room room_;
    StepSums sums_;
    RowsGradient product_;
};

GRAPHC_KERNEL("static_dx", StaticGradient)
GRAPHC_KERNEL("static_dweight", StaticWeightGradient)

}  // namespace

}  // namespace graphc
