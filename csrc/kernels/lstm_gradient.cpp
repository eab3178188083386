// "lstm_dsums": an LSTM's sequence backward in time; writes the gradient of the sums behind its
// gates, (T, N, 4 D). "lstm_dc0": that of the first cell state, (1, N, D).
//
// Attribute `reads` lists the operands' roles, as declared in graphc/ops/lstm.py: dy, perhaps dhT
// and dcT, gates, cell, cont, the cell state before the sequence (c0 or c_in) and, if there are two
// steps or more, W_hc; "lstm_dc0" reads dsums and no state.

#include <optional>

#include "kernels/recurrent_gradient.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

// Operands and extents of both.
class LstmGradient : public Kernel {
  public:
    explicit LstmGradient(const Problem& problem) : reads_(problem.attrs, "reads") {
        require(reads_.count() == problem.reads.size() && problem.writes.size() == 1,
                "number of operands");
        const Spec& gates = problem.reads[std::size_t(reads_.at("gates"))];
        require(gates.rank == 3 && gates.dims[0] >= 1 && gates.dims[2] % 4 == 0, "gates");
        shape_ = {gates.dims[0], gates.dims[1], gates.dims[2] / 4, gates.dims[2]};
        state_ = shape_.streams * shape_.units;
        const std::int64_t all = shape_.steps * state_;
        gates_ = checked(problem, "gates", 4 * all);
        cell_ = checked(problem, "cell", all);
        cont_ = checked(problem, "cont", shape_.steps * shape_.streams);
        dy_ = checked(problem, "dy", all);
        dh_last_ = if_there(problem, "dhT", state_);
        dc_last_ = if_there(problem, "dcT", state_);
        if (shape_.steps > 1) {
            weight_ = checked(problem, "W_hc", shape_.rows * shape_.units);
            back_.emplace(shape_, problem.threads, room_);
        }
        dh_at_ = room_.take(state_);
        shown_at_ = room_.take(state_);
    }

    std::size_t workspace() const override { return room_.size(); }

  protected:
    int checked(const Problem& problem, const char* role, std::int64_t size) const {
        const int found = reads_.at(role);
        require_flat(problem.reads[std::size_t(found)], size, role);
        return found;
    }

    int if_there(const Problem& problem, const char* role, std::int64_t size) const {
        return reads_.find(role) < 0 ? -1 : checked(problem, role, size);
    }

    // Calls body(n, dh, t), the gradient of h and tanh(c), for each stream of a step; `dh` so far
    // lacks dy.
    template <class Body>
    void each_stream(const Run& run, std::int64_t step, const Body& body) const {
        const std::int64_t units = shape_.units;
        split(shape_.streams, threads_of(20 * state_, run.threads),
              [&](std::int64_t first, std::int64_t stop) {
                  for (std::int64_t n = first; n < stop; ++n) {
                      const std::int64_t at = step * state_ + n * units;
                      float* const dh = floats_at(run.workspace, dh_at_) + n * units;
                      float* const shown = floats_at(run.workspace, shown_at_) + n * units;
                      spans_.binary_of(Opcode::add)(dh, dh, run.in(dy_) + at, units);
                      spans_.unary_of(Opcode::tanh)(shown, run.in(cell_) + at, units);
                      body(n, dh, shown);
                  }
              });
    }

    Roles reads_;
    const Spans& spans_ = spans();
    SequenceShape shape_;
    std::int64_t state_ = 0;
    Room room_;
    std::optional<StepBack> back_;
    int gates_, cell_, cont_, dy_, dh_last_, dc_last_, weight_ = -1;
    std::size_t dh_at_, shown_at_;
};

class LstmSums final : public LstmGradient {
  public:
    explicit LstmSums(const Problem& problem) : LstmGradient(problem) {
        start_ = checked(problem, reads_.find("c0") < 0 ? "c_in" : "c0", state_);
        require_flat(problem.writes[0], 4 * shape_.steps * state_, "dsums");
        dc_at_ = room_.take(state_);
    }

    void run(const Run& run) const override {
        float* const dh = floats_at(run.workspace, dh_at_);
        float* const dc = floats_at(run.workspace, dc_at_);
        start_from(run, dh_last_, state_, dh);
        start_from(run, dc_last_, state_, dc);
        if (back_) back_->pack(run, run.in(weight_));
        const std::int64_t units = shape_.units;
        for (std::int64_t t = shape_.steps - 1; t >= 0; --t) {
            const float* gates = run.in(gates_) + 4 * t * state_;
            const float* cont = run.in(cont_) + t * shape_.streams;
            const float* before = t > 0 ? run.in(cell_) + (t - 1) * state_ : run.in(start_);
            float* const sums = run.out(0) + 4 * t * state_;
            each_stream(run, t, [&](std::int64_t n, const float* own, const float* shown) {
                const std::int64_t at = n * units;
                const CellBack cell{gates + 4 * at, shown, before + at, own, cont[n]};
                step_cell_back(cell, sums + 4 * at, dc + at, units);
            });
            if (t > 0) back_->step(run, sums, cont, dh);
        }
    }

  private:
    int start_;
    std::size_t dc_at_;
};

class LstmCell final : public LstmGradient {
  public:
    explicit LstmCell(const Problem& problem) : LstmGradient(problem) {
        if (back_) sums_ = checked(problem, "dsums", 4 * shape_.steps * state_);
        require_flat(problem.writes[0], state_, "dc0");
    }

    void run(const Run& run) const override {
        float* const dh = floats_at(run.workspace, dh_at_);
        float* const dc = run.out(0);
        start_from(run, dh_last_, state_, dh);
        start_from(run, dc_last_, state_, dc);
        if (back_) back_->pack(run, run.in(weight_));
        const std::int64_t units = shape_.units;
        for (std::int64_t t = shape_.steps - 1; t >= 0; --t) {
            const float* gates = run.in(gates_) + 4 * t * state_;
            const float* cont = run.in(cont_) + t * shape_.streams;
            each_stream(run, t, [&](std::int64_t n, const float* own, const float* shown) {
                const float *f = gates + 4 * n * units + units, *o = f + units;
                float* const c = dc + n * units;
                for (std::int64_t d = 0; d < units; ++d) {
                    const float e = c[d] + own[d] * o[d] * (1 - shown[d] * shown[d]);
                    c[d] = e * (f[d] * cont[n]);
                }
            });
            if (t > 0) back_->step(run, run.in(sums_) + 4 * t * state_, cont, dh);
        }
    }

  private:
    int sums_ = -1;
};

GRAPHC_KERNEL("lstm_dsums", LstmSums)
GRAPHC_KERNEL("lstm_dc0", LstmCell)

}  // namespace

}  // namespace graphc
