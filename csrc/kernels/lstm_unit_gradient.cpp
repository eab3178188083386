// "lstm_unit_gradient": reads dc, dh, c_prev, gates and cont; writes the gradient of the gates'
// sums, or, without the parameter gates, that of c_prev.

#include <algorithm>

#include "core/kernel.h"
#include "kernels/recurrent.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class LstmUnitGradient final : public Kernel {
  public:
    explicit LstmUnitGradient(const Problem& problem)
        : spans_(spans()), is_of_gates_(flag(problem.attrs, "gates")) {
        require(problem.reads.size() == 5 && problem.writes.size() == 1, "number of operands");
        const Spec& c = problem.reads[2];
        require(c.rank == 3, "c_prev");
        streams_ = c.dims[1];
        units_ = c.dims[2];
        const std::int64_t state = streams_ * units_;
        require_flat(problem.reads[0], state, "dc");
        require_flat(problem.reads[1], state, "dh");
        require_flat(c, state, "c_prev");
        require_flat(problem.reads[3], 4 * state, "gates");
        require_flat(problem.reads[4], streams_, "cont");
        require_flat(problem.writes[0], is_of_gates_ ? 4 * state : state, "the gradient");
        gates_at_ = room_.take(4 * state);
        cell_at_ = room_.take(state);
        shown_at_ = room_.take(state);
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        split(streams_, threads_of(30 * streams_ * units_, run.threads),
              [&](std::int64_t first, std::int64_t stop) {
                  for (std::int64_t n = first; n < stop; ++n) stream(run, n);
              });
    }

  private:
    void stream(const Run& run, std::int64_t n) const {
        const std::int64_t units = units_, at = n * units;
        float* const gates = floats_at(run.workspace, gates_at_) + 4 * at;
        float* const cell = floats_at(run.workspace, cell_at_) + at;
        float* const shown = floats_at(run.workspace, shown_at_) + at;
        const float *const c_prev = run.in(2) + at, cont = run.in(4)[n];
        activate_gates(spans_, run.in(3) + 4 * at, gates, units);
        step_cell(spans_, gates, c_prev, cont, cell, shown, units);
        spans_.unary_of(Opcode::tanh)(shown, cell, units);
        float* const sums = is_of_gates_ ? run.out(0) + 4 * at : gates;
        float* const dc = is_of_gates_ ? cell : run.out(0) + at;
        std::copy_n(run.in(0) + at, units, dc);
        step_cell_back({gates, shown, c_prev, run.in(1) + at, cont}, sums, dc, units);
    }

    const Spans& spans_;
    bool is_of_gates_;
    Room room_;
    std::int64_t streams_ = 0, units_ = 0;
    std::size_t gates_at_ = 0, cell_at_ = 0, shown_at_ = 0;
};

GRAPHC_KERNEL("lstm_unit_gradient", LstmUnitGradient)

}  // namespace

}  // namespace graphc
