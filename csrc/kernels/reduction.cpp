// "reduction": y[n] = coeff * sum, or mean, over k of x[n,k], |x[n,k]| or x[n,k]^2.

#include <cmath>

#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

class Reduction final : public Kernel {
  public:
    explicit Reduction(const Problem& problem) : scale_(problem.attrs.real("coeff")) {
        expect_dense(problem, "reduction", 1, 1, 1);
        const Spec& x = problem.reads[0];
        rows_ = problem.writes[0].size();
        row_ = x.count(problem.writes[0].rank, x.rank);
        expect(problem.writes[0].rank < x.rank && rows_ * row_ == x.size(),
               "reduction sums over the last axes of x");
        const std::string& operation = problem.attrs.text("operation");
        if (operation == "MEAN") scale_ /= double(row_);  // infinite over nothing, as in Caffe
        const Spans& loops = spans();
        sum_ = operation == "ASUM"    ? loops.sum_abs
               : operation == "SUMSQ" ? loops.sum_squares
                                      : loops.sum;
    }

    std::size_t workspace() const override {
        return std::size_t(rows_ * pieces_of(row_)) * sizeof(double);
    }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        double* const partial = reinterpret_cast<double*>(run.workspace);
        const std::int64_t pieces = pieces_of(row_);
        const int threads = threads_for(0.15 * double(rows_ * row_), run.threads);
        split(rows_ * pieces, threads, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t i = from; i < to; ++i) {
                const std::int64_t start = i % pieces * kPiece;
                partial[i] = sum_(x + i / pieces * row_ + start, std::min(kPiece, row_ - start));
            }
        });
        for (std::int64_t n = 0; n < rows_; ++n) {
            double total = 0;
            for (std::int64_t i = 0; i < pieces; ++i) total += partial[n * pieces + i];
            run.out(0)[n] = float(scale_ * total);
        }
    }

  private:
    double scale_;
    std::int64_t rows_ = 0, row_ = 0;
    Spans::Sum sum_;
};

GRAPHC_KERNEL("reduction", Reduction)

}  // namespace

}  // namespace graphc
