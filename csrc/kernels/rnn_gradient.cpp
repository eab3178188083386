// "rnn_dsums": an RNN's sequence backward in time; writes the gradient of the sums in the tanh of
// h, (T, N, D): dsums[t] = (dout_sums[t] W_ho + dh) (1 - h[t]^2), dh = cont[t] dsums[t] W_hh for
// the step before.
//
// Attribute `reads` lists the operands' roles, as declared in graphc/ops/rnn.py: dout_sums, perhaps
// dhT, hidden, W_ho and, if there are two steps or more, W_hh and cont.

#include <optional>

#include "kernels/recurrent_gradient.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class RnnSums final : public Kernel {
  public:
    explicit RnnSums(const Problem& problem) {
        const Roles reads(problem.attrs, "reads");
        require(reads.count() == problem.reads.size() && problem.writes.size() == 1,
                "number of operands");
        const Spec& hidden = problem.reads[std::size_t(reads.at("hidden"))];
        require(hidden.rank == 3 && hidden.dims[0] >= 1, "hidden");
        shape_ = {hidden.dims[0], hidden.dims[1], hidden.dims[2], hidden.dims[2]};
        state_ = shape_.streams * shape_.units;
        const std::int64_t all = shape_.steps * state_, square = shape_.units * shape_.units;
        const auto checked = [&](const char* role, std::int64_t size) {
            const int found = reads.at(role);
            require_flat(problem.reads[std::size_t(found)], size, role);
            return found;
        };
        hidden_ = checked("hidden", all);
        out_sums_ = checked("dout_sums", all);
        out_weight_ = checked("W_ho", square);
        if (reads.find("dhT") >= 0) dh_last_ = checked("dhT", state_);
        require_flat(problem.writes[0], all, "dsums");
        direct_.emplace(shape_.steps * shape_.streams, shape_.units, shape_.units, problem.threads,
                        room_);
        if (shape_.steps > 1) {
            cont_ = checked("cont", shape_.steps * shape_.streams);
            weight_ = checked("W_hh", square);
            back_.emplace(shape_, problem.threads, room_);
        }
        dh_at_ = room_.take(state_);
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        float* const dh = floats_at(run.workspace, dh_at_);
        direct_->pack(run, run.in(out_weight_));
        direct_->multiply(run, run.in(out_sums_), run.out(0));
        start_from(run, dh_last_, state_, dh);
        if (back_) back_->pack(run, run.in(weight_));
        for (std::int64_t t = shape_.steps - 1; t >= 0; --t) {
            const float* const h = run.in(hidden_) + t * state_;
            float* const sums = run.out(0) + t * state_;
            split(state_, threads_of(state_, run.threads),
                  [&](std::int64_t first, std::int64_t stop) {
                      _Pragma("omp simd") for (std::int64_t i = first; i < stop; ++i) {
                          sums[i] = (dh[i] + sums[i]) * (1 - h[i] * h[i]);
                      }
                  });
            if (t > 0) back_->step(run, sums, run.in(cont_) + t * shape_.streams, dh);
        }
    }

  private:
    SequenceShape shape_;
    std::int64_t state_ = 0;
    Room room_;
    std::optional<TurnedProduct> direct_;
    std::optional<StepBack> back_;
    int hidden_, out_sums_, out_weight_, dh_last_ = -1, cont_ = -1, weight_ = -1;
    std::size_t dh_at_;
};

GRAPHC_KERNEL("rnn_dsums", RnnSums)

}  // namespace

}  // namespace graphc
