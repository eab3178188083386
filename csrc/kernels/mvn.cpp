// "mvn": y = (x - mean) / (sqrt(variance) + eps) within each group of `size` elements.

#include <cmath>

#include "kernels/moments.h"
#include "kernels/shapes.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class Mvn final : public Kernel {
  public:
    explicit Mvn(const Problem& problem)
        : loops_(spans()),
          groups_(problem.attrs.integer("groups")),
          eps_(problem.attrs.real("eps")),
          has_variance_(problem.attrs.integer("variance") != 0) {
        expect_dense(problem, "mvn", 1, 1, 2);
        const std::int64_t size = problem.reads[0].size();
        expect(groups_ >= 0 && size == problem.writes[0].size() &&
                   (groups_ > 0 ? size % groups_ == 0 : size == 0),
               "mvn's groups do not divide x");
        size_ = groups_ > 0 ? size / groups_ : 0;
        keeps_ = problem.writes.size() == 2;
        expect(!keeps_ || problem.writes[1].size() == groups_, "mvn has a deviation per group");
    }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        float* const y = run.out(0);
        const int threads = threads_for(0.2 * double(groups_ * size_), run.threads);
        split(groups_, threads, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t g = from; g < to; ++g) {
                const float* const row = x + g * size_;
                const Moments found = moments_of(loops_, row, 1, size_, size_);
                const double deviation = has_variance_ ? std::sqrt(found.variance) + eps_ : 1;
                const Centre centre(found.mean);
                loops_.normalize(y + g * size_, row, size_, centre.high, centre.low,
                                 float(1 / deviation));
                if (keeps_) run.out(1)[g] = float(deviation);
            }
        });
    }

  private:
    const Spans& loops_;
    std::int64_t groups_, size_ = 0;
    double eps_;
    bool has_variance_, keeps_ = false;
};

GRAPHC_KERNEL("mvn", Mvn)

}  // namespace

}  // namespace graphc
