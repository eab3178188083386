// Gradients of what carries the hidden state of LSTM and RNN from step to step, given those of the
// sums, dsums (T, N, rows).
// "recurrent_dh0": dh0[n,:] = cont[0,n] dsums[0,n,:] W_h. Reads dsums, cont, W_h (rows, D).
// "recurrent_dweight": dW_h = sum_t,n dsums[t,n,:]^T cont[t,n] h[t-1,n,:]. Reads dsums, cont, all
// h[t] (T, N, D) if there are two steps or more, the state before the first and, with attribute
// accumulate, dW_h, to which it then adds.

#include <optional>

#include "kernels/recurrent_gradient.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class StateGradient final : public Kernel {
  public:
    explicit StateGradient(const Problem& problem)
        : shape_(shape_behind(problem, 3, columns_of(problem, 2))),
          back_(shape_, problem.threads, room_) {
        require_flat(problem.reads[1], shape_.steps * shape_.streams, "cont");
        require_flat(problem.reads[2], shape_.rows * shape_.units, "W_h");
        require_flat(problem.writes[0], shape_.streams * shape_.units, "dh0");
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        back_.pack(run, run.in(2));
        back_.step(run, run.in(0), run.in(1), run.out(0));
    }

  private:
    SequenceShape shape_;
    Room room_;
    StepBack back_;
};

class HiddenWeightGradient final : public Kernel {
  public:
    explicit HiddenWeightGradient(const Problem& problem)
        : adds_(flag(problem.attrs, "accumulate")) {
        has_hidden_ = problem.reads.size() > 3 + std::size_t(adds_);
        start_ = 2 + int(has_hidden_);
        shape_ =
            shape_behind(problem, std::size_t(start_ + 1 + int(adds_)), columns_of(problem, 1));
        const std::int64_t streams = shape_.steps * shape_.streams;
        require(shape_.steps == 1 || has_hidden_, "number of operands");
        require_flat(problem.reads[1], streams, "cont");
        if (has_hidden_) require_flat(problem.reads[2], streams * shape_.units, "hidden");
        require_flat(problem.reads[std::size_t(start_)], shape_.streams * shape_.units, "h0");
        product_.emplace(problem, shape_, streams, adds_, room_);
        masked_at_ = room_.take(streams * shape_.units);
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        float* const masked = floats_at(run.workspace, masked_at_);
        const std::int64_t units = shape_.units, streams = shape_.streams;
        split(shape_.steps * streams, threads_of(shape_.steps * streams * units, run.threads),
              [&](std::int64_t first, std::int64_t stop) {
                  for (std::int64_t i = first; i < stop; ++i) {
                      const bool is_first = i < streams;
                      const float* h = run.in(is_first ? start_ : 2);
                      h += (is_first ? i : i - streams) * units;
                      const float cont = run.in(1)[i];
                      for (std::int64_t d = 0; d < units; ++d) masked[i * units + d] = h[d] * cont;
                  }
              });
        product_->run(run, run.in(0), masked);
    }

  private:
    bool adds_, has_hidden_;
    int start_;
    SequenceShape shape_;
    Room room_;
    std::optional<RowsGradient> product_;
    std::size_t masked_at_ = 0;
};

GRAPHC_KERNEL("recurrent_dh0", StateGradient)
GRAPHC_KERNEL("recurrent_dweight", HiddenWeightGradient)

}  // namespace

}  // namespace graphc
