// "softmax": y = exp(x) / sum exp(x) along `axis`; a NaN or +inf makes its whole row NaN.

#include "kernels/softmax_rows.h"

namespace graphc {

namespace {

class Softmax final : public Kernel {
  public:
    explicit Softmax(const Problem& problem) : rows_(shape_of(problem)) {}

    void run(const Run& run) const override { rows_.run(run.in(0), run.out(0), run.threads); }

  private:
    static Around shape_of(const Problem& problem) {
        expect_dense(problem, "softmax", 1, 1, 1);
        expect(problem.reads[0].size() == problem.writes[0].size(), "softmax keeps the shape");
        return around(problem.reads[0], problem.attrs.integer("axis"));
    }

    SoftmaxRows rows_;
};

GRAPHC_KERNEL("softmax", Softmax)

}  // namespace

}  // namespace graphc
