// "lstm": a sequence through an LSTM, as declared in graphc/ops/lstm.py. Attributes: `reads` and
// `writes` list the operands' roles; of the written ones all but y may be absent.
// "lstm_unit": one step, given the sums behind the gates. Reads c_prev, gates, cont; writes c, h.
// "last_step": of each sequence (T, N, D) read, its last step, written as (1, N, D).

#include <cstring>

#include "core/kernel.h"
#include "kernels/recurrent.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

namespace {

SequenceShape shape_of(const Problem& problem, const Roles& writes) {
    const Spec& y = problem.writes[std::size_t(writes.at("y"))];
    require(y.rank == 3 && y.dims[0] >= 1, "y");
    return {y.dims[0], y.dims[1], y.dims[2], 4 * y.dims[2]};
}

class Lstm final : public Kernel {
  public:
    explicit Lstm(const Problem& problem)
        : reads_(problem.attrs, "reads"),
          writes_(problem.attrs, "writes"),
          spans_(spans()),
          shape_((require(reads_.count() == problem.reads.size() &&
                              writes_.count() == problem.writes.size(),
                          "number of operands"),
                  shape_of(problem, writes_))),
          sums_(problem, reads_, shape_, {"W_xc", "b_c", "W_xc_static", "W_hc"}, room_) {
        const std::int64_t state = shape_.streams * shape_.units, all = shape_.steps * state;
        const auto check = [&](const char* role, std::int64_t size) {
            const int found = writes_.find(role);
            if (found >= 0) require_flat(problem.writes[std::size_t(found)], size, role);
            return found;
        };
        h0_ = reads_.at("h0");
        c0_ = reads_.at("c0");
        require_flat(problem.reads[std::size_t(h0_)], state, "h0");
        require_flat(problem.reads[std::size_t(c0_)], state, "c0");
        y_ = check("y", all);
        h_last_ = check("hT", state);
        c_last_ = check("cT", state);
        gates_ = check("gates", 4 * all);
        cell_ = check("cell", all);
        h_in_ = check("h_in", state);
        c_in_ = check("c_in", state);
        cont_ = reads_.at("cont");
        if (gates_ < 0) gates_at_ = room_.take(4 * all);
        if (cell_ < 0) cell_at_ = room_.take(state);
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        const std::int64_t state = shape_.streams * shape_.units;
        float* gates = gates_ < 0 ? floats_at(run.workspace, gates_at_) : run.out(gates_);
        float* cells = cell_ < 0 ? floats_at(run.workspace, cell_at_) : run.out(cell_);
        const float* h = run.in(h0_);
        const float* c = run.in(c0_);
        keep(run, h_in_, h);
        keep(run, c_in_, c);
        sums_.project(run, gates);
        for (std::int64_t t = 0; t < shape_.steps; ++t, gates += 4 * state) {
            sums_.recur(run, t, h, gates);
            float* next = cells + (cell_ < 0 ? 0 : t * state);
            float* y = run.out(y_) + t * state;
            step(run, t, gates, c, next, y);
            h = y;
            c = next;
        }
        keep(run, h_last_, h);
        keep(run, c_last_, c);
    }

  private:
    void step(const Run& run, std::int64_t t, float* gates, const float* c, float* next,
              float* y) const {
        const float* cont = run.in(cont_) + t * shape_.streams;
        const std::int64_t units = shape_.units;
        // Transcendental functions cost about as much as five plain ones.
        split(shape_.streams, threads_of(20 * shape_.streams * units, run.threads),
              [&](std::int64_t first, std::int64_t stop) {
                  for (std::int64_t n = first; n < stop; ++n) {
                      float* own = gates + n * 4 * units;
                      activate_gates(spans_, own, own, units);
                      step_cell(spans_, own, c + n * units, cont[n], next + n * units,
                                y + n * units, units);
                  }
              });
    }

    void keep(const Run& run, int target, const float* state) const {
        if (target < 0) return;
        const std::size_t bytes = std::size_t(shape_.streams * shape_.units) * sizeof(float);
        if (bytes > 0) std::memcpy(run.out(target), state, bytes);
    }

    Roles reads_, writes_;
    const Spans& spans_;
    SequenceShape shape_;
    Room room_;
    RecurrentSums sums_;
    int h0_, c0_, cont_, y_, h_last_, c_last_, gates_, cell_, h_in_, c_in_;
    std::size_t gates_at_ = 0, cell_at_ = 0;
};

class LstmUnit final : public Kernel {
  public:
    explicit LstmUnit(const Problem& problem) : spans_(spans()) {
        require(problem.reads.size() == 3 && problem.writes.size() == 2, "number of operands");
        const Spec& c = problem.reads[0];
        require(c.rank == 3, "c_prev");
        streams_ = c.dims[1];
        units_ = c.dims[2];
        const std::int64_t state = streams_ * units_;
        require_flat(c, state, "c_prev");
        require_flat(problem.reads[1], 4 * state, "gates");
        require_flat(problem.reads[2], streams_, "cont");
        require_flat(problem.writes[0], state, "c");
        require_flat(problem.writes[1], state, "h");
        room_.take(4 * state);
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        float* gates = floats_at(run.workspace, 0);
        split(streams_, threads_of(20 * streams_ * units_, run.threads),
              [&](std::int64_t first, std::int64_t stop) {
                  for (std::int64_t n = first; n < stop; ++n) {
                      float* own = gates + n * 4 * units_;
                      activate_gates(spans_, run.in(1) + n * 4 * units_, own, units_);
                      step_cell(spans_, own, run.in(0) + n * units_, run.in(2)[n],
                                run.out(0) + n * units_, run.out(1) + n * units_, units_);
                  }
              });
    }

  private:
    const Spans& spans_;
    Room room_;
    std::int64_t streams_ = 0, units_ = 0;
};

class LastStep final : public Kernel {
  public:
    explicit LastStep(const Problem& problem) {
        require(!problem.reads.empty() && problem.reads.size() == problem.writes.size(),
                "number of operands");
        for (std::size_t i = 0; i < problem.reads.size(); ++i) {
            const Spec& sequence = problem.reads[i];
            require(sequence.rank == 3 && sequence.dims[0] >= 1, "sequence");
            const std::int64_t state = sequence.dims[1] * sequence.dims[2];
            require_flat(sequence, sequence.dims[0] * state, "sequence");
            require_flat(problem.writes[i], state, "state");
            starts_.push_back((sequence.dims[0] - 1) * state);
            sizes_.push_back(state);
        }
    }

    void run(const Run& run) const override {
        for (std::size_t i = 0; i < sizes_.size(); ++i) {
            const std::size_t bytes = std::size_t(sizes_[i]) * sizeof(float);
            if (bytes > 0) std::memcpy(run.out(int(i)), run.in(int(i)) + starts_[i], bytes);
        }
    }

  private:
    Extents starts_, sizes_;
};

GRAPHC_KERNEL("lstm", Lstm)
GRAPHC_KERNEL("lstm_unit", LstmUnit)
GRAPHC_KERNEL("last_step", LastStep)

}  // namespace

}  // namespace graphc
