// "rnn": a sequence through a plain recurrent network, as declared in graphc/ops/rnn.py.
// Attributes: `reads` and `writes` list the operands' roles; of the written ones all but y may be
// absent.

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
    return {y.dims[0], y.dims[1], y.dims[2], y.dims[2]};
}

class Rnn final : public Kernel {
  public:
    explicit Rnn(const Problem& problem)
        : reads_(problem.attrs, "reads"),
          writes_(problem.attrs, "writes"),
          spans_(spans()),
          shape_((require(reads_.count() == problem.reads.size() &&
                              writes_.count() == problem.writes.size(),
                          "number of operands"),
                  shape_of(problem, writes_))),
          sums_(problem, reads_, shape_, {"W_xh", "b_h", "W_xh_static", "W_hh"}, room_),
          out_(shape_.steps * shape_.streams, shape_.units, shape_.units, problem.threads) {
        const std::int64_t state = shape_.streams * shape_.units, all = shape_.steps * state;
        const auto check = [&](const char* role, std::int64_t size) {
            const int found = writes_.find(role);
            if (found >= 0) require_flat(problem.writes[std::size_t(found)], size, role);
            return found;
        };
        const auto check_read = [&](const char* role, std::int64_t size) {
            const int found = reads_.at(role);
            require_flat(problem.reads[std::size_t(found)], size, role);
            return found;
        };
        h0_ = check_read("h0", state);
        weight_ = check_read("W_ho", shape_.units * shape_.units);
        bias_ = check_read("b_o", shape_.units);
        y_ = check("y", all);
        h_last_ = check("hT", state);
        hidden_ = check("hidden", all);
        h_in_ = check("h_in", state);
        if (hidden_ < 0) hidden_at_ = room_.take(all);
        out_at_ = room_.take(std::int64_t(out_.workspace() / sizeof(float)));
    }

    std::size_t workspace() const override { return room_.size(); }

    void run(const Run& run) const override {
        const std::int64_t state = shape_.streams * shape_.units;
        float* hidden = hidden_ < 0 ? floats_at(run.workspace, hidden_at_) : run.out(hidden_);
        const float* h = run.in(h0_);
        keep(run, h_in_, h);
        sums_.project(run, hidden);
        for (std::int64_t t = 0; t < shape_.steps; ++t) {
            float* next = hidden + t * state;
            sums_.recur(run, t, h, next);
            squash(next, state, run.threads);
            h = next;
        }
        keep(run, h_last_, h);
        DotProductsRun job{};
        job.x = hidden;
        job.x_row = job.y_row = shape_.units;
        job.w = run.in(weight_);
        job.bias = run.in(bias_);
        job.y = run.out(y_);
        job.workspace = run.workspace + out_at_;
        job.threads = run.threads;
        out_.run(job);
        squash(job.y, shape_.steps * state, run.threads);
    }

  private:
    void squash(float* x, std::int64_t count, int threads) const {
        split(count, threads_of(5 * count, threads), [&](std::int64_t first, std::int64_t stop) {
            spans_.unary_of(Opcode::tanh)(x + first, x + first, stop - first);
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
    DotProducts out_;
    int h0_, weight_, bias_, y_, h_last_, hidden_, h_in_;
    std::size_t hidden_at_ = 0, out_at_ = 0;
};

GRAPHC_KERNEL("rnn", Rnn)

}  // namespace

}  // namespace graphc
