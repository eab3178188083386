// "expr_sum": y[k] = sum over m, l of program(x0, x1, ...)[m, k, l]: the gradient of an operand
// that spans some axes alone. Reads dense floats of one shape; parameters: those of a program
// without a draw (expr_program.h), and either outer, kept and inner, the extents of m, k and l,
// or, for operands in blocks of channels k (blocked.h), channels. `factor`: the place among the
// reads of one that the program does not see, of y's size, by which sums are multiplied.
// `accumulate`: see accumulate.h.

#include <vector>

#include "kernels/accumulate.h"
#include "kernels/channel_runs.h"
#include "kernels/expr_program.h"

namespace graphc {

namespace {

class ExprSum final : public Kernel {
  public:
    explicit ExprSum(const Problem& problem)
        : loops_(spans()),
          adds_(accumulates(problem, "expr_sum")),
          factor_(problem.attrs.has("factor") ? int(problem.attrs.integer("factor")) : -1),
          reads_(problem.reads.size() - (adds_ ? 1 : 0) - (factor_ >= 0 ? 1 : 0)),
          program_(problem.attrs, std::vector<bool>(reads_, true), {false}, loops_) {
        expect(reads_ > 0 && problem.writes.size() == 1 && !program_.draws(),
               "expr_sum sums what it reads, into one operand");
        expect(factor_ <= int(reads_), kShape);
        const Spec& y = problem.writes[0];
        if (factor_ >= 0) {
            const Spec& factor = problem.reads[std::size_t(factor_)];
            expect(factor.dtype == DType::f32 && factor.contiguous() && factor.size() == y.size(),
                   kShape);
        }
        if (problem.attrs.has("channels")) {
            for (std::size_t i = 0; i < reads_; ++i) {
                const Spec& spec = problem.reads[std::size_t(read(i))];
                const Blocked x(spec, problem.attrs.integer("channels"), "expr_sum");
                expect(spec.dims == problem.reads[std::size_t(read(0))].dims,
                       "expr_sum reads operands of one shape");
                steps_.push_back(x.sample_step);
                runs_ = ChannelRuns(x);
            }
            expect(y.size() == problem.attrs.integer("channels"), kShape);
        } else {
            const Around shape = {problem.attrs.integer("outer"), problem.attrs.integer("kept"),
                                  problem.attrs.integer("inner")};
            expect(shape.outer >= 0 && shape.extent >= 0 && shape.inner >= 0, kShape);
            runs_ = ChannelRuns(shape);
            for (std::size_t i = 0; i < reads_; ++i) {
                const Spec& x = problem.reads[std::size_t(read(i))];
                expect(x.dtype == DType::f32 && x.contiguous() && x.size() == runs_.size(), kShape);
                steps_.push_back(runs_.plain_step());
            }
            expect(y.size() == shape.extent, kShape);
        }
        expect(y.dtype == DType::f32 && y.contiguous(), kShape);
    }

    std::size_t workspace() const override { return runs_.partials(1) * sizeof(double); }

    void run(const Run& run) const override {
        const double work = (program_.cost() + 0.1) * double(runs_.size());
        runs_.sum<1>(
            reinterpret_cast<double*>(run.workspace), threads_for(work, run.threads),
            [&](Index group, Index outer, Index first, Index count, double* sums) {
                add(run, group, outer, first, count, sums);
            },
            [&](Index group, const double* totals) {
                const Index start = runs_.first_channel(group);
                float* const y = run.out(0) + start;
                const float* const factor = factor_ < 0 ? nullptr : run.in(factor_) + start;
                for (Index c = 0; c < runs_.channels(group); ++c) {
                    const double total = factor ? totals[c] * double(factor[c]) : totals[c];
                    y[c] = float((adds_ ? double(y[c]) : 0) + total);
                }
            });
    }

  private:
    static constexpr const char* kShape = "expr_sum: operands do not fit its shape";

    // The place among the reads of operand i of the program.
    int read(std::size_t i) const { return int(i) + (factor_ >= 0 && int(i) >= factor_ ? 1 : 0); }

    void add(const Run& run, Index group, Index outer, Index first, Index count,
             double* sums) const {
        ExprProgram::State state;
        program_.start(state);
        for (Index at = 0; at < count; at += Blocks::kSize) {
            const Index n = lesser(Blocks::kSize, count - at);
            for (std::size_t i = 0; i < reads_; ++i) {
                const float* x = run.in(read(i)) + runs_.offset(steps_[i], group, outer);
                state.slots[i] = const_cast<float*>(x + first + at);
            }
            program_.execute(state.slots, n);
            const float* const made = state.slots[program_.result(0)];
            if (runs_.is_columns()) {
                loops_.add_to(sums + at, made, n);
            } else {
                loops_.add_lanes(sums, made, n);
            }
        }
    }

    const Spans& loops_;
    bool adds_;
    int factor_;         // -1: none
    std::size_t reads_;  // without that, and what the result is added to
    ExprProgram program_;
    ChannelRuns runs_;
    std::vector<Index> steps_;  // by operand: floats from one sample to the next
};

GRAPHC_KERNEL("expr_sum", ExprSum)

}  // namespace

}  // namespace graphc
